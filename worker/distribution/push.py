"""`docker push`: an image's blobs, then its manifest under a tag. What the registry has already is not sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from yarl import URL

from common.errors import NotFound, ShoalError
from common.reference import Reference
from worker.distribution.credentials import Credentials
from worker.distribution.layerpull import short
from worker.distribution.media import BYTES
from worker.distribution.progress import Progress
from worker.distribution.refusal import Refusal, plain_error
from worker.distribution.repository import Attempts, Repository, open_repository
from worker.distribution.transport import FAILURES, Transport
from worker.images.catalog import Stored
from worker.images.config import Descriptor
from worker.images.store import LocalImages

_AT_A_TIME = 4
_CHUNK = 1 << 20


class Pusher:
    def __init__(self, images: LocalImages, transport: Transport) -> None:
        self._images = images
        self._transport = transport

    async def push(self, references: list[Reference], credentials: Credentials, progress: Progress) -> None:
        """Push images by tags of one repository, which are all in the store. Raises ShoalError."""
        name = references[0].name
        progress.say(f"The push refers to repository [{name}]")
        try:
            async with open_repository(self._transport, references[0], credentials, "pull,push") as repository:
                for reference in references:
                    stored = self._images.find(str(reference))
                    await _Push(self._images, repository, stored, progress).run(reference)
        except Refusal as refusal:
            raise plain_error(refusal) from None


class _Push:
    def __init__(self, images: LocalImages, repository: Repository, stored: Stored, progress: Progress) -> None:
        self._images = images
        self._parts = images.parts
        self._repository = repository
        self._stored = stored
        self._progress = progress
        self._slots = asyncio.Semaphore(_AT_A_TIME)

    async def run(self, reference: Reference) -> None:
        manifest = self._stored.manifest
        named = zip(manifest.layers, self._stored.config.rootfs.diff_ids, strict=True)
        blobs = {layer.digest: (layer, short(diff_id)) for layer, diff_id in named}
        with self._parts.pins.hold() as hold:
            hold.add(self._stored.id, self._stored.record.manifest, *blobs, *self._stored.chains)
            for _, name in blobs.values():
                self._progress.layer("Preparing", name)
            try:
                async with asyncio.TaskGroup() as group:
                    for layer, name in blobs.values():
                        group.create_task(self._blob(layer, name))
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
            await self._blob(manifest.config, "")
            await self._manifest(reference)

    async def _manifest(self, reference: Reference) -> None:
        data = self._parts.blobs.read(self._stored.record.manifest)
        headers = {"Content-Type": self._stored.manifest.media_type}
        url = f"{self._repository.base}/manifests/{reference.tag}"
        await self._repository.ask("PUT", url, data=data, headers=headers)
        digest, size = self._stored.record.manifest, len(data)
        self._parts.catalog.tag(replace(reference, tag="", digest=digest), self._stored.id)
        self._images.event("push", self._stored.id, reference.familiar)
        self._progress.say(f"{reference.tag}: digest: {digest} size: {size}")
        self._progress.aux({"Tag": reference.tag, "Digest": digest, "Size": size})

    async def _blob(self, blob: Descriptor, name: str) -> None:
        """`name` is what the progress calls it; empty for what has none."""
        async with self._slots:
            if await self._is_there(blob.digest):
                self._say("Layer already exists", name)
                return
            for source in self._mount_sources(blob.digest):
                if await self._mount(blob.digest, source):
                    self._say(f"Mounted from {source.path}", name)
                    return
            await self._upload(blob, name)
            self._say("Pushed", name)

    def _say(self, status: str, name: str) -> None:
        if name:
            self._progress.layer(status, name)

    async def _is_there(self, digest: str) -> bool:
        try:
            await self._repository.ask("HEAD", f"{self._repository.base}/blobs/{digest}")
        except Refusal as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def _mount_sources(self, digest: str) -> list[Reference]:
        """Other repositories of this registry from or to which images with this blob went."""
        target, found = self._repository.reference, dict[str, Reference]()
        for stored in self._parts.catalog:
            if any(layer.digest == digest for layer in stored.manifest.layers):
                for name in self._parts.catalog.tags(stored.id):
                    if name.digest and name.domain == target.domain and name.path != target.path:
                        found[name.path] = name
        return list(found.values())[:3]

    async def _mount(self, digest: str, source: Reference) -> bool:
        url = str(URL(f"{self._repository.base}/blobs/uploads/").with_query({"mount": digest, "from": source.path}))
        scope = f"{self._repository.scope} repository:{source.path}:pull"
        try:
            answer = await self._repository.ask("POST", url, scope=scope)
        except (Refusal, ShoalError):
            return False  # no access there: the bytes go the long way
        if answer.status == 202:
            await self._abandon(answer.headers.get("Location", ""))
        return answer.status == 201

    async def _abandon(self, place: str) -> None:
        try:
            await self._repository.ask("DELETE", self._absolute(place))
        except (Refusal, ShoalError):
            return  # the registry forgets it by itself

    async def _upload(self, blob: Descriptor, name: str) -> None:
        """In one piece; begun anew where the connection breaks."""
        file = self._parts.blobs.path(blob.digest)
        if not file.exists():
            raise NotFound(f"the blob {blob.digest} of the image is not here: pull the image again")
        attempts = Attempts(self._repository.endpoint.host)
        while True:
            try:
                answer = await self._repository.ask("POST", f"{self._repository.base}/blobs/uploads/")
                url = URL(self._absolute(answer.headers.get("Location", "")), encoded=True)
                target = str(url.update_query({"digest": blob.digest}))
                size = file.stat().st_size
                headers = {"Content-Type": BYTES, "Content-Length": str(size)}
                body = self._body(file, name, size)
                async with await self._repository.send("PUT", target, data=body, headers=headers):
                    return
            except (Refusal, *FAILURES) as error:
                await attempts.failed(error)

    async def _body(self, file: Path, name: str, total: int) -> AsyncIterator[bytes]:
        done = 0
        with file.open("rb") as source:
            while data := await asyncio.to_thread(source.read, _CHUNK):
                yield data
                done += len(data)
                if name:
                    self._progress.figure("Pushing", name, done, total)

    def _absolute(self, place: str) -> str:
        return str(URL(f"{self._repository.endpoint.url}/").join(URL(place, encoded=True)))
