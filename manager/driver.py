"""The driver: runs all loops while this manager leads. It alone knows leadership, batching and retries.

Events come in by one task, batches go out by another; a loop is only asked once it has heard of all that its view holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog

from common.errors import NoSpace, Unavailable, VersionConflict
from manager.agenda import Agenda, Batch
from manager.loops.base import Loop
from manager.store.base import Event
from manager.store.store import StateStore

log = structlog.get_logger()
RETRY = 0.5  # seconds until a batch is tried again that no quorum took


class Driver:
    def __init__(self, store: StateStore, loops: Sequence[Loop]) -> None:
        self._store = store
        self._loops = loops
        self._agenda: Agenda | None = None  # while this manager leads

    def backlog(self) -> Mapping[str, int]:
        """How many keys each loop has to look at; nothing where this manager does not lead."""
        return self._agenda.backlog() if self._agenda else {}

    async def run(self) -> None:
        """Lead whenever the store says so, for ever. Raises LoopError where a loop fails."""
        while True:
            await self._store.leadership(True)
            log.info("leading")
            self._agenda = Agenda(self._loops)
            leading = asyncio.ensure_future(Leadership(self._store, self._agenda).run())
            ended = asyncio.ensure_future(self._store.leadership(False))
            try:
                await asyncio.wait((leading, ended), return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
                leading.cancel()
                await asyncio.wait((leading, ended))
                self._agenda = None
            if not leading.cancelled():
                leading.result()
            log.info("not leading any more")


class Leadership:
    """One term: an agenda, and the two tasks around it."""

    def __init__(self, store: StateStore, agenda: Agenda) -> None:
        self._store = store
        self._agenda = agenda
        self._seen = 0
        self._moved = asyncio.Event()

    async def run(self) -> None:
        events = self._store.watch()
        view = self._store.view()
        self._seen = view.revision
        self._agenda.start(view)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(events), name="driver events")
            group.create_task(self._work(), name="driver work")

    async def _listen(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            self._agenda.observe(event)
            self._seen = event.revision
            self._moved.set()

    async def _work(self) -> None:
        while True:
            view = self._store.view()
            if self._seen < view.revision:
                await self._wait(None)
            elif batch := self._agenda.next(view):
                await self._commit(batch)
            else:
                wake = self._agenda.wake_at
                await self._wait(None if wake is None else (wake - view.now).total_seconds())

    async def _wait(self, timeout: float | None) -> None:
        """Until something moved, or for `timeout` seconds."""
        self._moved.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._moved.wait()
        except TimeoutError:
            pass

    async def _commit(self, batch: Batch) -> None:
        try:
            await self._store.commit(batch.changes, leading=True)
        except VersionConflict:
            self._agenda.retry(batch)
        except (Unavailable, NoSpace) as error:
            log.warning("the store does not take changes, trying again", reason=error.message)
            self._agenda.retry(batch)
            await asyncio.sleep(RETRY)
