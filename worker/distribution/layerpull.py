"""One layer of a pull: downloaded and extracted at the same time. Pulls that need the same blob join here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import closing

from common.errors import ShoalError
from worker.distribution.locks import Locks
from worker.distribution.parts import Part
from worker.distribution.progress import Progress
from worker.distribution.refusal import Refusal, plain_error
from worker.distribution.repository import Repository
from worker.images.config import Descriptor
from worker.images.layers import Layer, WrongDigest
from worker.images.parts import Parts
from worker.images.pins import Hold


class LayerPulls:
    """For all pulls of a store: so many layers at a time, and none of them twice."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._locks = Locks()
        self._slots = asyncio.Semaphore(max(3, (os.cpu_count() or 1) + 1))

    async def pull(
        self,
        hold: Hold,
        repository: Repository,
        descriptor: Descriptor,
        *,
        parent: str,
        chain: str,
        diff_id: str,
        progress: Progress,
    ) -> Layer:
        """The layer with its blob, pinned by `hold`. Raises ShoalError."""
        name = short(descriptor.digest)
        hold.add(chain, descriptor.digest)
        if chain in self._parts.layers:
            progress.layer("Already exists", name)
            return self._parts.layers.get(chain)
        progress.layer("Pulling fs layer", name)
        if self._slots.locked() or self._locks.busy(descriptor.digest):
            progress.layer("Waiting", name)
        async with self._locks.hold(descriptor.digest), self._slots:
            if chain not in self._parts.layers:
                await self._make(_One(self._parts, hold, repository, descriptor, parent, diff_id, progress))
            progress.layer("Pull complete", name)
            return self._parts.layers.get(chain)

    async def _make(self, one: _One) -> None:
        """A part from before that turns out to be damaged is fetched once more from its beginning."""
        if one.digest in self._parts.blobs:
            await one.extract_stored()
            return
        path = self._parts.layout.part(one.digest)
        with closing(Part(path, one.digest, one.descriptor.size)) as part:
            try:
                try:
                    await one.fetch_and_extract(part)
                except ShoalError as error:
                    if not part.resumed or part.done < part.size:
                        raise
                    one.progress.layer("Retrying", short(one.digest))
                    del error
                    part.restart()
                    await one.fetch_and_extract(part)
            except WrongDigest:
                path.unlink(missing_ok=True)
                raise


class _One:
    """What is needed for one layer."""

    def __init__(
        self,
        parts: Parts,
        hold: Hold,
        repository: Repository,
        descriptor: Descriptor,
        parent: str,
        diff_id: str,
        progress: Progress,
    ) -> None:
        self.digest = descriptor.digest
        self.descriptor = descriptor
        self.progress = progress
        self._parts = parts
        self._hold = hold
        self._repository = repository
        self._parent = parent
        self._diff_id = diff_id

    async def extract_stored(self) -> None:
        """Its blob is here already, for another layer below."""
        file = self._parts.blobs.path(self.digest)
        size = file.stat().st_size

        async def growth() -> AsyncIterator[bytes]:
            yield b"%d\n" % size

        await self._parts.layers.pull(
            self._hold, self._parent, file, growth(), digest=self.digest, diff_id=self._diff_id
        )

    async def fetch_and_extract(self, part: Part) -> None:
        """Raises the first error of both."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fetch(part))
                growth = part.announcements()
                await self._parts.layers.pull(
                    self._hold, self._parent, part.path, growth, digest=self.digest, diff_id=self._diff_id
                )
        except BaseExceptionGroup as errors:
            raise _first(errors) from None

    async def _fetch(self, part: Part) -> None:
        name, total = short(self.digest), part.size
        try:
            await part.fetch(self._repository, lambda done: self.progress.figure("Downloading", name, done, total))
        except Refusal as refusal:
            raise plain_error(refusal) from None
        self.progress.layer("Download complete", name)
        self.progress.figure("Extracting", name, total, total)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """A child that refuses the bytes knows better than the download that ends with it."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
