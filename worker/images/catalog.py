"""Which images there are and what they are called: records and tags, in memory and on the disk. Bytes are others' work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec

from common.durable import write_file
from common.errors import Conflict, NotFound
from common.reference import Reference, parse_reference
from worker.images.base import Image
from worker.images.config import ImageConfig, Manifest, now, parse_config
from worker.images.layers import Layers, chain_ids
from worker.images.layout import Layout, disk_errors

_ID = re.compile(r"(?:sha256:)?([a-f0-9]{1,64})")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps of an image beside its config. `manifest` is a blob's digest; `parent` an image's id."""

    id: str
    manifest: str
    parent: str = ""
    tagged_at: datetime | None = None


class Stored:
    """One image: its record with its parsed config and manifest."""

    def __init__(self, record: Record, config: ImageConfig, manifest: Manifest) -> None:
        self.record = record
        self.config = config
        self.manifest = manifest
        self.chains = chain_ids(config.rootfs.diff_ids)

    @property
    def id(self) -> str:
        return self.record.id


class Catalog:
    def __init__(self, layout: Layout, layers: Layers) -> None:
        self._layout = layout
        self._layers = layers
        self._images: dict[str, Stored] = {}
        self._tags: dict[str, str] = {}  # complete reference (with tag or digest) → image id

    def start_up(self) -> None:
        """Read what is there. A record whose blobs or layers are missing is half of an image: it is forgotten."""
        for path in self._layout.records.glob("*.json"):
            record = msgspec.json.decode(path.read_bytes(), type=Record)
            if stored := self._read(record):
                self._images[record.id] = stored
            else:
                path.unlink()
        if self._layout.tags.exists():
            tags = msgspec.json.decode(self._layout.tags.read_bytes(), type=dict[str, str])
            self._tags = {name: image for name, image in tags.items() if image in self._images}

    def _read(self, record: Record) -> Stored | None:
        try:
            config = parse_config(self._layout.blob(record.id).read_bytes())
            manifest = msgspec.json.decode(self._layout.blob(record.manifest).read_bytes(), type=Manifest)
        except FileNotFoundError:
            return None
        stored = Stored(record, config, manifest)
        return stored if all(chain in self._layers for chain in stored.chains) else None

    def __iter__(self) -> Iterator[Stored]:
        return iter(tuple(self._images.values()))

    def __contains__(self, image: str) -> bool:
        return image in self._images

    def __getitem__(self, image: str) -> Stored:
        return self._images[image]

    def add(self, stored: Stored) -> None:
        """Make a new image known, durably. Its blobs and layers are there already."""
        with disk_errors("the image"):
            write_file(self._layout.record(stored.id), msgspec.json.encode(stored.record))
        self._images[stored.id] = stored

    def remove(self, image: str) -> None:
        """Forget an image that has no tag any more."""
        self._layout.record(image).unlink(missing_ok=True)
        del self._images[image]

    def tags(self, image: str) -> list[Reference]:
        """Its references with a tag, then those with a digest, each sorted."""
        names = [parse_reference(name) for name, target in self._tags.items() if target == image]
        return sorted(names, key=lambda reference: (bool(reference.digest), str(reference)))

    def repository(self, text: str) -> list[Reference]:
        """All tags of the repository that `text` is the bare name of, sorted; none where it is something else."""
        if re.fullmatch(r"[a-f0-9]{64}", text) or (wanted := parse_reference(text)).tag or wanted.digest:
            return []
        names = map(parse_reference, sorted(self._tags))
        return [name for name in names if name.name == wanted.name and not name.digest]

    def tag(self, reference: Reference, image: str) -> None:
        """Point a reference at an image, away from the one that had it."""
        if self._tags.get(str(reference)) == image:
            return
        record = msgspec.structs.replace(self._images[image].record, tagged_at=now())
        self._write_tags({**self._tags, str(reference): image})
        self._images[image].record = record
        with disk_errors("the image"):
            write_file(self._layout.record(image), msgspec.json.encode(record))

    def untag(self, reference: Reference) -> None:
        self._write_tags({name: image for name, image in self._tags.items() if name != str(reference)})

    def _write_tags(self, tags: dict[str, str]) -> None:
        with disk_errors("the tags"):
            write_file(self._layout.tags, msgspec.json.encode(tags))
        self._tags = tags

    def find(self, text: str) -> Stored:
        """By reference, id or a unique prefix of an id. Raises NotFound with Docker's sentence."""
        code = _ID.fullmatch(text)
        if code and len(code[1]) == 64 and f"sha256:{code[1]}" in self._images:
            return self._images[f"sha256:{code[1]}"]
        if not text.startswith("sha256:"):
            reference = parse_reference(text).tagged()
            if found := self._by_reference(reference):
                return self._images[found]
        if code and (found := self._by_prefix(text, code[1])):
            return self._images[found]
        raise NotFound(f"No such image: {_shown(text)}", ("image", text))

    def _by_reference(self, reference: Reference) -> str:
        if reference.digest:
            tagless = Reference(reference.domain, reference.path, "", reference.digest)
            return self._tags.get(str(tagless), "")
        return self._tags.get(str(reference), "")

    def _by_prefix(self, text: str, prefix: str) -> str:
        found = [image for image in self._images if image.startswith(f"sha256:{prefix}")]
        if len(found) > 1:
            raise Conflict(f"ambiguous image id {text!r}: it fits {len(found)} images, give more digits")
        return found[0] if found else ""

    def is_id(self, text: str, image: str) -> bool:
        """True where the user named the image by its id, not by a reference."""
        code = _ID.fullmatch(text)
        return bool(code and image.startswith(f"sha256:{code[1]}") and self._named(text) != image)

    def _named(self, text: str) -> str:
        return "" if text.startswith("sha256:") else self._by_reference(parse_reference(text).tagged())

    def image(self, stored: Stored) -> Image:
        """The image as everyone else sees it."""
        names = self.tags(stored.id)
        return Image(
            id=stored.id,
            tags=tuple(str(name) for name in names if not name.digest),
            digests=tuple(str(name) for name in names if name.digest),
            layers=tuple(stored.config.rootfs.diff_ids),
            config=stored.config.config,
            architecture=stored.config.architecture,
            os=stored.config.os or "linux",
            created=stored.config.created,
            size=self.size(stored),
            parent=stored.record.parent,
        )

    def size(self, stored: Stored) -> int:
        return sum(self._layers.get(chain).size for chain in stored.chains)


def _shown(text: str) -> str:
    return text if _ID.fullmatch(text) else str(parse_reference(text).tagged().familiar)
