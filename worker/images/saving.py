"""`docker save`: one archive that is both a docker archive (manifest.json) and an OCI layout (index.json)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from common.reference import Reference
from worker.images.catalog import Stored
from worker.images.config import INDEX_TYPE, MANIFEST_TYPE
from worker.images.parts import Parts
from worker.images.tarformat import FOLDER, Entry, padding, trailer, write_header

_CHUNK = 1 << 20


@dataclass
class Selection:
    """What to save: images with the names to keep in the archive."""

    images: dict[str, Stored] = field(default_factory=dict)
    names: dict[str, list[Reference]] = field(default_factory=dict)

    def add(self, stored: Stored, references: Sequence[Reference]) -> None:
        self.images[stored.id] = stored
        known = self.names.setdefault(stored.id, [])
        known.extend(reference for reference in references if reference not in known)


async def save(parts: Parts, selection: Selection) -> AsyncGenerator[bytes, None]:
    """The archive in pieces. All blobs are pinned until the end, so a removal meanwhile does not tear it."""
    with parts.pins.hold() as hold:
        digests = list(dict.fromkeys(digest for stored in selection.images.values() for digest in _blobs(stored)))
        hold.add(*digests)
        for folder in ("blobs/", "blobs/sha256/"):
            yield write_header(Entry(folder, FOLDER, 0o755))
        for digest in digests:
            async for chunk in _blob(parts, digest):
                yield chunk
        for name, content in _indexes(parts, selection).items():
            data = msgspec.json.encode(content)
            yield write_header(Entry(name, size=len(data))) + data + padding(len(data))
        yield trailer()


def _blobs(stored: Stored) -> list[str]:
    return [stored.id, *(layer.digest for layer in stored.manifest.layers), stored.record.manifest]


async def _blob(parts: Parts, digest: str) -> AsyncIterator[bytes]:
    with parts.blobs.path(digest).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        yield write_header(Entry(_name(digest), size=size))
        while data := await asyncio.to_thread(file.read, _CHUNK):
            yield data
        yield padding(size)


def _indexes(parts: Parts, selection: Selection) -> dict[str, Any]:
    manifest = [
        {
            "Config": _name(stored.id),
            "RepoTags": [reference.familiar for reference in selection.names[stored.id]] or None,
            "Layers": [_name(layer.digest) for layer in stored.manifest.layers],
        }
        for stored in selection.images.values()
    ]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [entry for stored in selection.images.values() for entry in _entries(parts, stored, selection)],
    }
    return {"oci-layout": {"imageLayoutVersion": "1.0.0"}, "index.json": index, "manifest.json": manifest}


def _entries(parts: Parts, stored: Stored, selection: Selection) -> list[dict[str, Any]]:
    """One entry per name, as an OCI layout repeats a manifest for each of its names."""
    size = parts.blobs.path(stored.record.manifest).stat().st_size
    entry = {"mediaType": stored.manifest.media_type or MANIFEST_TYPE, "digest": stored.record.manifest, "size": size}
    names = selection.names[stored.id]
    return [{**entry, "annotations": _annotations(name)} for name in names] or [entry]


def _annotations(name: Reference) -> dict[str, str]:
    return {"io.containerd.image.name": str(name), "org.opencontainers.image.ref.name": name.tag}


def _name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)
