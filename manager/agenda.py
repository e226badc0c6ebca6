"""What the loops still have to look at: a keyed queue without repeats per loop, and the moments at which keys come back.

Pure: it is told of events and of the time through views, and gives out batches of changes. Committing them is the driver's.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

import msgspec

from manager.loops.base import Loop, Wake
from manager.store.base import Change, Event, View

KEYS = 256  # keys reconciled on one view
CHANGES = 2000  # changes after which a batch is full


class Batch(msgspec.Struct, frozen=True):
    """What one loop wants changed for some of its keys, to be committed as one."""

    loop: int
    keys: list[str]
    changes: list[Change]


class LoopError(Exception):
    """A loop failed; the manager cannot go on. The cause is chained."""


class Agenda:
    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops = loops
        self._keys: list[dict[str, None]] = [{} for _ in loops]
        self._moments: list[tuple[datetime, int, str]] = []
        self._woken: dict[tuple[int, str], datetime] = {}

    def start(self, view: View) -> None:
        for number, loop in enumerate(self._loops):
            self._add(number, loop.start(view))

    def observe(self, event: Event) -> None:
        for number, loop in enumerate(self._loops):
            for change in event.changes:
                self._add(number, loop.keys(change))

    @property
    def wake_at(self) -> datetime | None:
        """When the next key comes back by itself."""
        return self._moments[0][0] if self._moments else None

    def next(self, view: View) -> Batch | None:
        """The next batch that changes something; None where nothing is left to look at now."""
        self._wake(view.now)
        for number in range(len(self._loops)):
            while self._keys[number]:
                batch = self._reconcile(number, view)
                if batch.changes:
                    return batch
        return None

    def backlog(self) -> dict[str, int]:
        """How many keys each loop has to look at."""
        return {loop.name: len(queue) for loop, queue in zip(self._loops, self._keys, strict=True)}

    def retry(self, batch: Batch) -> None:
        """The batch was not committed: its keys are looked at again."""
        self._add(batch.loop, batch.keys)

    def _add(self, number: int, keys: Iterable[str]) -> None:
        for key in keys:
            self._keys[number][key] = None

    def _reconcile(self, number: int, view: View) -> Batch:
        loop, queue = self._loops[number], self._keys[number]
        batch = Batch(number, [], [])
        touched: set[tuple[type, str]] = set()
        for key in [*islice(queue, 1 if loop.serial else KEYS)]:
            del queue[key]
            changes = self._ask(number, loop, view, key)
            objects = {(type(change.object), change.object.id) for change in changes}
            if not touched.isdisjoint(objects):
                queue[key] = None
                break
            touched |= objects
            batch.keys.append(key)
            batch.changes.extend(changes)
            if len(batch.changes) >= CHANGES:
                break
        return batch

    def _ask(self, number: int, loop: Loop, view: View, key: str) -> list[Change]:
        changes: list[Change] = []
        try:
            for result in loop.reconcile(view, key):
                if isinstance(result, Wake):
                    self._remember(number, result)
                else:
                    changes.append(result)
        except Exception as error:
            raise LoopError(f"the {loop.name} loop failed on {key!r}: {error!r}") from error
        return changes

    def _remember(self, number: int, wake: Wake) -> None:
        known = self._woken.get((number, wake.key))
        if known is None or wake.at < known:
            self._woken[number, wake.key] = wake.at
            heapq.heappush(self._moments, (wake.at, number, wake.key))

    def _wake(self, now: datetime) -> None:
        while self._moments and self._moments[0][0] <= now:
            at, number, key = heapq.heappop(self._moments)
            if self._woken.get((number, key)) == at:
                del self._woken[number, key]
                self._keys[number][key] = None
