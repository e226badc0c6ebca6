"""This replica's reader: it loads what is durable, then follows etcd's watch, and drives the machine in etcd's order.

An entry's index is its place in the log: the snapshot's index and one more for each entry after it, in the order of
etcd's revisions. All replicas count the same frames in the same order, so they agree on it; a reload checks that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import structlog

from common.errors import ShoalError, Unavailable
from manager.etcd.client import Client, Compacted
from manager.etcd.keys import Keys, Pointer
from manager.etcd.loader import Entries, Loaded, Loader, decode_pointer
from manager.etcd.wire import KeyValue
from manager.store.log import Machine

log = structlog.get_logger()
RETRY = 0.2  # seconds between attempts to watch again

Results = Sequence[tuple[int, ShoalError | None]]


class Follower:
    """`index` and `revision` of what the machine holds; `epoch` and `pointer` as last seen."""

    def __init__(self, client: Client, keys: Keys, machine: Machine, applied: Callable[[bytes, Results], None]) -> None:
        """`applied` is told the name of each frame and what became of its entries."""
        self._client = client
        self._keys = keys
        self._machine = machine
        self._applied = applied
        self._loader = Loader(client, keys)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._patience: asyncio.Timeout | None = None  # with the watch
        self.index = 0
        self.revision = -1
        self.epoch = 0
        self.pointer = Pointer()
        self.size = 0  # bytes of entries since the snapshot
        self.moved = asyncio.Event()  # set after each frame

    async def load(self) -> None:
        """Become what is durable now. Raises Unavailable, and ShoalError where the log is damaged."""
        loaded = await self._loader.load(self.revision)
        self._check(loaded)
        if loaded.pointer.revision > self.revision:
            if loaded.state is not None:
                self._machine.restore(loaded.pointer.index, loaded.state)
            self.index, self.revision = loaded.pointer.index, loaded.pointer.revision
        self._point(loaded.epoch, loaded.pointer, sum(frame.size for frame in loaded.frames))
        for frame in loaded.frames:
            if frame.revision > self.revision:
                self._apply(frame)
        self._reach(loaded.revision)

    async def run(self) -> None:
        """Follow for ever: watch from where this replica is, anew whenever the watch ends."""
        while True:
            try:
                async with asyncio.timeout(None) as self._patience:
                    await self._follow()
            except Compacted:
                log.info("etcd was compacted beyond this manager's watch: reading the store again")
                await self._reload()
            except TimeoutError:
                log.warning("the watch on etcd fell behind, watching again")
            except Unavailable as error:
                log.warning("the watch on etcd ended, watching again", error=error.message)
            self._patience = None
            await asyncio.sleep(RETRY)

    async def reached(self, revision: int) -> None:
        """Return once everything up to `revision` is applied."""
        if revision > self.revision:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((revision, future))
            await future

    def watch_again(self) -> None:
        """The watch is behind what others see: leave its member."""
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())
            self._patience = None

    async def _reload(self) -> None:
        try:
            await self.load()
        except Unavailable as error:
            log.warning("etcd does not answer: reading the store again later", error=error.message)

    async def _follow(self) -> None:
        async with aclosing(self._client.watch(self._keys.log, self.revision + 1, puts_only=True)) as stream:
            async for told in stream:
                for event in told.events:
                    await self._take(event.kv)

    async def _take(self, kv: KeyValue) -> None:
        if kv.key == self._keys.pointer:
            if kv.mod_revision > self.epoch:
                self._point(kv.mod_revision, decode_pointer(kv.value), 0)
        elif kv.mod_revision > self.revision:
            frame = await self._loader.frame(kv)
            if frame is None:  # a snapshot stands for it already
                raise Compacted
            self.size += frame.size
            self._apply(frame)
        self._reach(kv.mod_revision)

    def _point(self, epoch: int, pointer: Pointer, size: int) -> None:
        self.epoch, self.pointer, self.size = epoch, pointer, size

    def _apply(self, frame: Entries) -> None:
        results = []
        for entry in frame.entries:
            self.index += 1
            results.append((self.index, self._machine.apply(self.index, entry)))
        self.revision = frame.revision
        self._applied(frame.name, results)
        self.moved.set()

    def _reach(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        ready = [future for wanted, future in self._waiting if wanted <= self.revision]
        self._waiting = [(wanted, future) for wanted, future in self._waiting if wanted > self.revision]
        for future in ready:
            if not future.done():
                future.set_result(None)

    def _check(self, loaded: Loaded) -> None:
        """What this replica applied must be what etcd says: as many entries up to its revision."""
        if loaded.revision < self.revision:
            raise ShoalError(
                f"etcd is at revision {loaded.revision}, this manager saw {self.revision} already: "
                "etcd lost changes or was restored, so the manager has to read it from the beginning"
            )
        if self.revision >= loaded.pointer.revision and self.epoch:
            seen = (len(frame.entries) for frame in loaded.frames if frame.revision <= self.revision)
            if loaded.pointer.index + sum(seen) != self.index:
                raise ShoalError(f"this manager applied {self.index} entries of the log in etcd, which holds others")
