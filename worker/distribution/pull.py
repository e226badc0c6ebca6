"""`docker pull`: from a reference to an image of the store. Every manifest, config and layer is verified before it is used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import msgspec

from common.errors import InvalidArgument, ShoalError, Unavailable, Unsupported
from common.reference import Reference
from worker.distribution import platforms
from worker.distribution.credentials import Credentials
from worker.distribution.layerpull import LayerPulls
from worker.distribution.media import CONFIGS, DOCKER_SCHEMA1, INDEXES, MANIFESTS
from worker.distribution.platforms import Platform
from worker.distribution.progress import Progress
from worker.distribution.refusal import Refusal, pull_error
from worker.distribution.repository import Found, Repository, open_repository
from worker.distribution.transport import Transport
from worker.images.catalog import Stored
from worker.images.config import Descriptor, Manifest, parse_config
from worker.images.layers import Layer, chain_ids
from worker.images.pins import Hold
from worker.images.store import LocalImages


class IndexEntry(Descriptor, frozen=True, kw_only=True):
    platform: Platform = Platform()


class Index(msgspec.Struct, frozen=True):
    manifests: list[IndexEntry]


@dataclass(frozen=True)
class Resolved:
    """What a reference means: `digest` of what it names (an index, or the image's manifest), and the image's own manifest."""

    digest: str
    manifest: Found


class Puller:
    def __init__(self, images: LocalImages, transport: Transport) -> None:
        self._images = images
        self._transport = transport
        self._layers = LayerPulls(images.parts)

    async def pull(
        self,
        reference: Reference,
        credentials: Credentials,
        progress: Progress,
        *,
        platform: str = "",
        every_tag: bool = False,
    ) -> None:
        """Pull one image, or every tag of a repository. Raises NotFound, Forbidden, Unavailable, InvalidArgument."""
        if reference.digest and not reference.digest.startswith("sha256:"):
            raise Unsupported(f"{reference.familiar}: only sha256 digests are supported")
        wanted = platforms.parse(platform) if platform else None
        try:
            async with open_repository(self._transport, reference, credentials) as repository:
                if not every_tag:
                    await _Pull(self._images, self._layers, repository, reference.tagged(), progress).run(wanted)
                    return
                for tag in await repository.tags():
                    tagged = replace(reference, tag=tag)
                    await _Pull(self._images, self._layers, repository, tagged, progress).run(wanted)
        except Refusal as refusal:
            raise pull_error(refusal, reference if every_tag else reference.tagged()) from None


class _Pull:
    """One image on its way."""

    def __init__(
        self, images: LocalImages, layers: LayerPulls, repository: Repository, reference: Reference, progress: Progress
    ) -> None:
        self._images = images
        self._parts = images.parts
        self._layers = layers
        self._repository = repository
        self._reference = reference
        self._progress = progress

    async def run(self, wanted: Platform | None) -> None:
        reference = self._reference
        before = self._present(str(reference))
        if digest := await self._unchanged(before, wanted):
            self._progress.say(f"Pulling from {reference.path}", reference.tag or reference.digest)
            self._finish(digest, newer=False)
            return
        found = await resolve(self._repository, reference.digest or reference.tag, wanted)
        self._progress.say(f"Pulling from {reference.path}", reference.tag or reference.digest)
        with self._parts.pins.hold() as hold:
            stored = await self._fetch(hold, found.manifest, wanted)
            self._name(stored, found.digest)
        self._images.event("pull", stored.id, reference.familiar)
        self._finish(found.digest, newer=before is None or before.id != stored.id)

    def _present(self, text: str) -> Stored | None:
        try:
            return self._images.find(text)
        except ShoalError:
            return None

    async def _unchanged(self, before: Stored | None, wanted: Platform | None) -> str:
        """The digest, where the image is here as the registry has it: asked by HEAD, which costs no pull from a quota."""
        if before is None or (wanted and not _made_for(before, wanted)):
            return ""
        name = self._reference.digest or self._reference.tag
        digest = self._reference.digest or await self._repository.manifest_digest(name)
        known = self._present(str(_by_digest(self._reference, digest))) if digest else None
        return digest if known is not None and known.id == before.id else ""

    async def _fetch(self, hold: Hold, found: Found, wanted: Platform | None) -> Stored:
        manifest = read_manifest(found)
        image = manifest.config.digest
        hold.add(image)
        config = await self._config(manifest.config)
        parsed = parse_config(config)
        diff_ids = parsed.rootfs.diff_ids
        if len(diff_ids) != len(manifest.layers):
            raise InvalidArgument(
                f"the image's config has {len(diff_ids)} layers, but its manifest {len(manifest.layers)}"
            )
        chains = chain_ids(diff_ids)
        if image not in self._parts.catalog:
            blobs = [layer.digest for layer in manifest.layers]
            self._parts.garbage.leases.take(image, [*chains, *blobs])
        layers = await self._all_layers(hold, manifest, diff_ids, chains, image)
        stored = await self._parts.add(hold, config, layers, manifest=found.data)
        self._parts.garbage.leases.drop(image)
        if wanted and not _made_for(stored, wanted):
            self._progress.say(f"image platform ({_platform_of(stored)}) does not match the one asked for ({wanted})")
        return stored

    async def _config(self, descriptor: Descriptor) -> bytes:
        if descriptor.digest in self._parts.blobs:
            return self._parts.blobs.read(descriptor.digest)
        return await self._repository.small_blob(descriptor.digest)

    async def _all_layers(
        self, hold: Hold, manifest: Manifest, diff_ids: list[str], chains: list[str], image: str
    ) -> list[Layer]:
        """All at once; what is wrong with one ends the others. What cannot become right another time leaves nothing."""
        parents = ["", *chains[:-1]]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        self._layers.pull(
                            hold,
                            self._repository,
                            descriptor,
                            parent=parent,
                            chain=chain,
                            diff_id=diff_id,
                            progress=self._progress,
                        )
                    )
                    for descriptor, parent, chain, diff_id in zip(
                        manifest.layers, parents, chains, diff_ids, strict=True
                    )
                ]
        except BaseExceptionGroup as errors:
            error = errors.exceptions[0]
            if not isinstance(error, Unavailable):
                self._parts.garbage.leases.drop(image)
            raise error from None
        return [task.result() for task in tasks]

    def _name(self, stored: Stored, digest: str) -> None:
        if self._reference.tag:
            self._parts.catalog.tag(replace(self._reference, digest=""), stored.id)
        self._parts.catalog.tag(_by_digest(self._reference, digest), stored.id)

    def _finish(self, digest: str, *, newer: bool) -> None:
        self._progress.say(f"Digest: {digest}")
        words = "Downloaded newer image for" if newer else "Image is up to date for"
        self._progress.say(f"Status: {words} {self._reference.familiar}")


async def resolve(repository: Repository, name: str, wanted: Platform | None) -> Resolved:
    """The image's manifest behind a tag or digest, by way of an index where there is one."""
    top = found = await repository.manifest(name)
    for _ in range(4):
        if found.media_type not in INDEXES:
            return Resolved(top.digest, found)
        entries = [entry for entry in read_index(found).manifests if entry.media_type in (*MANIFESTS, *INDEXES)]
        chosen = platforms.choose(wanted or platforms.own(), [entry.platform for entry in entries])
        found = await repository.manifest(entries[chosen].digest)
    raise InvalidArgument(f"{repository.reference.familiar} is an index of indexes, more than 4 deep")


def read_index(found: Found) -> Index:
    try:
        return msgspec.json.decode(found.data, type=Index)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"the registry sent an invalid index {found.digest}: {error}") from None


def read_manifest(found: Found) -> Manifest:
    """Raises Unsupported for what is no image, InvalidArgument for what is none at all."""
    if found.media_type in DOCKER_SCHEMA1:
        raise Unsupported(
            "the registry has the image only as a manifest of Docker's schema 1, which nobody supports any more: push it anew"
        )
    if found.media_type not in MANIFESTS:
        raise Unsupported(
            f"the registry sent a {found.media_type or 'nameless media type'!r}, which is no image manifest"
        )
    try:
        manifest = msgspec.json.decode(found.data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"the registry sent an invalid manifest {found.digest}: {error}") from None
    if manifest.config.media_type not in CONFIGS:
        raise Unsupported(f"{manifest.config.media_type!r} is no container image: it cannot run here")
    for part in (manifest.config, *manifest.layers):
        if not _is_digest(part.digest) or part.size < 0:
            raise InvalidArgument(
                f"the manifest {found.digest} names a blob by {part.digest!r}, which is no sha256 digest"
            )
    return manifest


def _is_digest(text: str) -> bool:
    algorithm, _, code = text.partition(":")
    return algorithm == "sha256" and len(code) == 64 and not code.strip("0123456789abcdef")


def _by_digest(reference: Reference, digest: str) -> Reference:
    return replace(reference, tag="", digest=digest)


def _platform_of(stored: Stored) -> Platform:
    config = stored.config
    return Platform(os=config.os or "linux", architecture=config.architecture, variant=config.variant)


def _made_for(stored: Stored, wanted: Platform) -> bool:
    return platforms.rank(wanted, _platform_of(stored)) is not None
