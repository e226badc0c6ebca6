"""When to take a snapshot, and cutting the log behind it, while the member goes on serving.

The state is captured at once, encoded and written by a thread; only then is the log cut, in the driver's own turn.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from common.errors import NoSpace
from manager.raft.core import Core, Snapshot
from manager.raft.storage import Storage
from manager.store.log import Machine

BEHIND = 5  # times `every`: how many entries stay at most for followers that are behind
PAUSE = 100  # ticks before another try after the disk was full


class Compactor:
    """`every` and `keep` in entries; `disk` is the thread that alone touches the write-ahead log."""

    def __init__(self, core: Core, storage: Storage, machine: Machine, disk: Executor, every: int, keep: int) -> None:
        self._core = core
        self._storage = storage
        self._machine = machine
        self._disk = disk
        self._every = every
        self._keep = keep
        self._running = False
        self._durable: Snapshot | None = None  # saved, but the log was not cut behind it yet
        self._not_before = 0

    async def turn(self, group: asyncio.TaskGroup, applied: int, now: int, wake: asyncio.Event) -> None:
        """The driver's call between two Readys: start a snapshot in `group`, or finish one. `now` in ticks."""
        if self._durable is not None:
            await self._finish(self._durable, now)
        elif self._due(applied, now):
            self._running = True
            log = self._core.state.log
            snapshot = Snapshot(applied, log.term(applied), self._core.state.config)
            group.create_task(self._save(snapshot, now, wake))

    def _due(self, applied: int, now: int) -> bool:
        log = self._core.state.log
        # The configuration is that of the commit index: snapshot only where that is applied too.
        settled = applied == log.commit and not self._running and now >= self._not_before
        wanted = 1 if self._storage.is_outdated else self._every
        return settled and applied - log.snapshot.index >= wanted

    async def _save(self, snapshot: Snapshot, now: int, wake: asyncio.Event) -> None:
        capture = self._machine.snapshot()

        def save() -> Snapshot:
            whole = Snapshot(snapshot.index, snapshot.term, snapshot.config, capture())
            self._storage.save_snapshot(whole)
            return snapshot

        try:
            self._durable = await asyncio.to_thread(save)
        except NoSpace:
            self._not_before = now + PAUSE
            self._running = False
        wake.set()

    async def _finish(self, snapshot: Snapshot, now: int) -> None:
        self._durable = None
        self._running = False
        if snapshot.index <= self._core.state.log.snapshot.index:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, self._storage.compact, snapshot.index)
        except NoSpace:
            self._not_before = now + PAUSE
            return
        self._core.compact(snapshot, self._kept(snapshot))

    def _kept(self, snapshot: Snapshot) -> int:
        """How many entries stay: as leader so many, within bounds, that nobody who follows needs yet another snapshot."""
        progress = self._core.state.progress.values()
        held = [max(each.match, each.snapshot) for each in progress if each.active]
        return min(max(self._keep, snapshot.index - min(held, default=snapshot.index)), BEHIND * self._every)
