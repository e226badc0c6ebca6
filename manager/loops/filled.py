"""How many slots of each service are filled, so that one task's end need not bring a look at all tasks of its service.

Kept by events, begun anew from a view; never a source of truth.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from common.model import Task
from manager.loops.slots import live


class Slots:
    """Of one service: slots by their tasks. `ended`: those whose tasks all ended, or were told to."""

    def __init__(self) -> None:
        self._tasks: Counter[int] = Counter()
        self._live: Counter[int] = Counter()
        self.ended: set[int] = set()

    @property
    def any(self) -> bool:
        return bool(self._tasks)

    @property
    def filled(self) -> int:
        return len(self._tasks) - len(self.ended)

    def count(self, task: Task, step: int) -> None:
        slot = task.slot
        self._tasks[slot] += step
        self._live[slot] += step if live(task) else 0
        self.ended.discard(slot)
        if not self._tasks[slot]:
            del self._tasks[slot], self._live[slot]
        elif not self._live[slot]:
            self.ended.add(slot)


class Filled:
    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._services: defaultdict[str, Slots] = defaultdict(Slots)
        for task in tasks:
            self.changed(None, task)

    def changed(self, before: Task | None, after: Task | None) -> None:
        if before is not None and after is not None and live(before) is live(after):
            return
        for task, step in ((before, -1), (after, 1)):
            if task is not None and task.slot:
                self._services[task.service_id].count(task, step)
        if after is None and before is not None and not self.of(before.service_id).any:
            self._services.pop(before.service_id, None)

    def of(self, service_id: str) -> Slots:
        return self._services.get(service_id) or Slots()
