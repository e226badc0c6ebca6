"""The log for unit tests and simulation: a list. It keeps its entries over several `run`s, and always leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.errors import Unavailable
from manager.store.log import Machine


class MemoryLog:
    """Entries are kept since the last snapshot, which is taken every `snapshot_every` entries (0: never)."""

    def __init__(self, *, snapshot_every: int = 0) -> None:
        self._snapshot_every = snapshot_every
        self._snapshot: tuple[int, bytes] | None = None
        self._entries: list[bytes] = []
        self._machine: Machine | None = None

    @asynccontextmanager
    async def run(self, machine: Machine) -> AsyncIterator[None]:
        if self._snapshot is not None:
            machine.restore(*self._snapshot)
        for index, data in enumerate(self._entries, self._base + 1):
            machine.apply(index, data)
        self._machine = machine
        try:
            yield
        finally:
            self._machine = None

    async def propose(self, data: bytes, *, leading: bool = False) -> int:
        if self._machine is None:
            raise Unavailable("the log is closed: no change can be committed")
        self._entries.append(data)
        index = self._base + len(self._entries)
        error = self._machine.apply(index, data)
        self._compact(index)
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return index

    async def barrier(self) -> None:
        if self._machine is None:
            raise Unavailable("the log is closed: it cannot tell what is committed")

    def is_leader(self) -> bool:
        return self._machine is not None

    async def leadership(self, wanted: bool) -> None:
        if self.is_leader() is not wanted:
            await asyncio.get_running_loop().create_future()

    @property
    def _base(self) -> int:
        return self._snapshot[0] if self._snapshot else 0

    def _compact(self, index: int) -> None:
        if self._machine is not None and self._snapshot_every and len(self._entries) >= self._snapshot_every:
            self._snapshot = (index, self._machine.snapshot()())
            self._entries.clear()
