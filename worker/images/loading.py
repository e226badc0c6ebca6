"""`docker load`: image archives, Docker's (manifest.json) and OCI layouts (index.json), become images of the store."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from common.errors import InvalidArgument
from common.reference import Reference, parse_reference
from worker.images.config import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, Descriptor, Manifest, parse_config
from worker.images.jobs import run_job
from worker.images.layers import Layer, chain_ids
from worker.images.layout import remove_tree
from worker.images.parts import Parts
from worker.images.pins import Hold

_MAX_JSON = 8 << 20  # bytes of a manifest or config
_INDEX_TYPES = (INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFEST_TYPES = (MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")
_CONFIG_TYPES = (CONFIG_TYPE, "application/vnd.docker.container.image.v1+json")
_IMAGE_NAME, _REF_NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Loaded:
    """An image that is in the store now, with the names that the archive gave it."""

    id: str
    names: tuple[Reference, ...]


@dataclass(frozen=True)
class Progress:
    """A layer on its way; `done` of `total` bytes of its member of the archive."""

    diff_id: str
    done: int
    total: int


@dataclass(frozen=True)
class Candidate:
    """An image as an archive describes it: checked, but not taken in. `members` are its layers' names in the archive."""

    config: bytes
    members: list[str]
    names: tuple[Reference, ...] = ()
    manifest: bytes = b""

    @property
    def diff_ids(self) -> list[str]:
        return parse_config(self.config).rootfs.diff_ids


class Archive:
    """An uploaded archive that was taken apart: its members by name, each in a file of its own."""

    def __init__(self, folder: Path, index: dict[str, Any]) -> None:
        self._folder = folder
        self._files: dict[str, dict[str, Any]] = index["files"]
        self._links: dict[str, str] = index["links"]

    def __contains__(self, name: str) -> bool:
        return self._resolve(name) in self._files

    def member(self, name: str) -> tuple[Path, str]:
        """(file, digest). Raises InvalidArgument where the archive has no such member."""
        entry = self._files.get(self._resolve(name))
        if entry is None:
            raise InvalidArgument(f"the image archive names {name!r}, but does not hold it")
        return self._folder / entry["file"], entry["digest"]

    def blob(self, digest: str) -> Path:
        """A member of an OCI layout by its digest. Raises InvalidArgument where its content is another."""
        path, found = self.member(_blob_name(digest))
        if found != digest:
            raise InvalidArgument(f"the image archive is damaged: the content of {digest} is {found}")
        return path

    def json(self, name: str) -> bytes:
        path, _ = self.member(name)
        if path.stat().st_size > _MAX_JSON:
            raise InvalidArgument(f"{name!r} in the image archive is larger than {_MAX_JSON} bytes")
        return path.read_bytes()

    def _resolve(self, name: str) -> str:
        name = posixpath.normpath(name)
        for _ in range(8):
            if name not in self._links:
                break
            name = self._links[name]
        return name


class Loader:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def load(self, hold: Hold, body: AsyncIterator[bytes]) -> AsyncGenerator[Progress | Loaded, None]:
        """Take in an archive. Raises InvalidArgument on what is none; images that came before a bad layer stay."""
        folder = self._parts.layout.new_upload()
        try:
            index = await run_job("members", body, folder=str(folder), max_bytes=self._parts.layout.free_bytes())
            archive = Archive(folder, index)
            for candidate in read_candidates(archive):
                layers: list[Layer] = []
                async for progress in self._layers(hold, archive, candidate, layers):
                    yield progress
                image = await self._parts.add(hold, candidate.config, layers, manifest=candidate.manifest)
                yield Loaded(image.id, candidate.names)
        finally:
            await remove_tree(folder)

    async def _layers(
        self, hold: Hold, archive: Archive, candidate: Candidate, layers: list[Layer]
    ) -> AsyncIterator[Progress]:
        """Fill `layers`, lowest first; those that the store has already cost nothing."""
        diff_ids = candidate.diff_ids
        for diff_id, chain, name in zip(diff_ids, chain_ids(diff_ids), candidate.members, strict=True):
            hold.add(chain)
            if chain in self._parts.layers:
                layers.append(self._parts.layers.get(chain))
                continue
            file, _ = archive.member(name)
            size = file.stat().st_size
            yield Progress(diff_id, 0, size)
            parent = layers[-1].chain if layers else ""
            layers.append(await self._parts.layers.extract(hold, parent, file, diff_id=diff_id))
            yield Progress(diff_id, size, size)


def read_candidates(archive: Archive) -> list[Candidate]:
    """All images of an archive, checked. Raises InvalidArgument."""
    if "manifest.json" in archive:
        entries = _decode(archive.json("manifest.json"), list[_DockerImage])
        candidates = [_from_docker(archive, entry) for entry in entries]
    elif "index.json" in archive:
        candidates = [_from_oci(archive, entry) for entry in _image_entries(archive)]
    else:
        raise InvalidArgument("the archive is no image: it has neither a manifest.json nor an index.json")
    for candidate in candidates:
        if len(candidate.diff_ids) != len(candidate.members):
            raise InvalidArgument(
                f"the image's config has {len(candidate.diff_ids)} layers, but its archive names {len(candidate.members)}"
            )
    return candidates


def _from_docker(archive: Archive, entry: _DockerImage) -> Candidate:
    names = tuple(parse_reference(name).tagged() for name in entry.repo_tags or ())
    return Candidate(archive.json(entry.config), entry.layers, names)


def _from_oci(archive: Archive, entry: Descriptor) -> Candidate:
    archive.blob(entry.digest)
    data = archive.json(_blob_name(entry.digest))
    manifest = _decode(data, Manifest)
    if manifest.config.media_type not in _CONFIG_TYPES:
        raise InvalidArgument(f"the archive holds a {manifest.config.media_type!r}, which is no container image")
    for part in (manifest.config, *manifest.layers):
        archive.blob(part.digest)
    members = [_blob_name(layer.digest) for layer in manifest.layers]
    return Candidate(archive.json(_blob_name(manifest.config.digest)), members, _names(entry), data)


class _DockerImage(msgspec.Struct, frozen=True, rename="pascal"):
    """An entry of manifest.json."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] = []


class _Index(msgspec.Struct, frozen=True):
    manifests: list[Descriptor]


def _image_entries(archive: Archive) -> Iterator[Descriptor]:
    """The images that an OCI layout holds; an index in the index gives the entries that the archive really has."""
    pending = [(entry, entry.annotations) for entry in _decode(archive.json("index.json"), _Index).manifests]
    for _ in range(1000):
        if not pending:
            return
        entry, names = pending.pop(0)
        if _blob_name(entry.digest) not in archive:
            continue
        if entry.media_type in _INDEX_TYPES:
            inner = _decode(archive.json(_blob_name(entry.digest)), _Index).manifests
            pending += [(child, names) for child in inner if not _is_attestation(child)]
        elif entry.media_type in _MANIFEST_TYPES:
            yield msgspec.structs.replace(entry, annotations=names)
        else:
            raise InvalidArgument(f"the archive's index names a {entry.media_type!r}, which is no image")
    raise InvalidArgument("the archive's index has more than 1000 entries")


def _is_attestation(entry: Descriptor) -> bool:
    return entry.annotations.get("vnd.docker.reference.type") == "attestation-manifest"


def _names(entry: Descriptor) -> tuple[Reference, ...]:
    name = entry.annotations.get(_IMAGE_NAME) or entry.annotations.get(_REF_NAME, "")
    return (parse_reference(name).tagged(),) if ":" in name or "/" in name else ()


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _decode(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"the image archive's index is invalid: {error}") from None
