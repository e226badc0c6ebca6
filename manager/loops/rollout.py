"""How far a rolling update is: which slots are still old, which are on their way, settled or failed. Derived, never stored."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

import msgspec

from common.model import EPOCH, Node, Service, Task, TaskSpec, TaskState, UpdateConfig
from manager.loops.slots import ENDED_ALONE, by_slot, live, nanoseconds
from manager.scheduler.constraints import node_allows
from manager.specs import template
from manager.store.base import View


class Slot(msgspec.Struct, frozen=True):
    """`old`, `new`: live tasks by version; `recent`: tasks of the present version born in this update, oldest first."""

    number: int
    old: list[Task]
    new: list[Task]
    recent: list[Task]
    failures: list[Task]

    @property
    def failed(self) -> bool:
        return bool(self.failures)

    @property
    def serving(self) -> Task:
        """The old task that serves on while its successor starts."""
        return next(filter(_runs, reversed(self.old)), self.old[-1])

    @property
    def settled_at(self) -> datetime | None:
        return next((task.settled_at for task in self.recent if task.settled_at), None)

    @property
    def done_at(self) -> datetime | None:
        """When this update's attempt on the slot ended, well or not; None before that."""
        return self.failures[-1].status.timestamp if self.failures else self.settled_at


class Rollout:
    """One look at one service's update."""

    def __init__(self, view: View, service: Service, config: UpdateConfig) -> None:
        self.config = config
        self._view = view
        self._service = service
        status = service.update_status
        self._began = status.started_at if status and status.started_at else EPOCH
        slots = by_slot(view.find(Task, "service", service.id)).values()
        self.slots = [slot for slot in map(self._slot, slots) if slot.old or slot.new]

    @cached_property
    def dirty(self) -> list[Slot]:
        """Slots that still wait for their new task, those first whose old one does not run."""
        found = [slot for slot in self.slots if slot.old and not slot.new]
        return sorted(found, key=lambda slot: (any(map(_runs, slot.old)), slot.number))

    @property
    def busy(self) -> list[Slot]:
        """Slots whose new task has neither settled nor failed."""
        return [slot for slot in self.slots if slot.new and slot.recent and slot.done_at is None]

    @property
    def settling(self) -> list[Task]:
        """New tasks that run and are healthy, which this update has not yet taken note of."""
        tasks = (task for slot in self.slots for task in slot.new if task in slot.recent)
        return [task for task in tasks if task.settled_at is None and _runs(task) and task.status.healthy]

    @property
    def overtaken(self) -> list[Slot]:
        """Slots whose new task runs beside the old one, which can go."""
        return [slot for slot in self.slots if slot.old and any(_runs(t) and t.status.healthy for t in slot.new)]

    @property
    def mixed(self) -> bool:
        """Whether any task is still old."""
        return any(slot.old for slot in self.slots)

    @property
    def complete(self) -> bool:
        return not self.mixed and not self.busy

    def too_many_failures(self) -> Task | None:
        """The task whose failure was one too many."""
        failed = [slot.failures[-1] for slot in self.slots if slot.failed]
        too_many = len(failed) > self.config.max_failure_ratio * len(self.slots)
        return max(failed, key=lambda task: task.status.timestamp) if failed and too_many else None

    def _slot(self, tasks: list[Task]) -> Slot:
        alive = [task for task in tasks if live(task)]
        old = [task for task in alive if self._is_old(task)]
        recent = [t for t in tasks if t.created_at >= self._began and t.spec_version == self._service.spec_version]
        failures = [task for task in recent if self._failed(task)]
        return Slot(tasks[0].slot, old, [task for task in alive if task not in old], recent, failures)

    def _failed(self, task: Task) -> bool:
        """It ended by itself, before it settled or while it was still watched."""
        if task.status.state not in ENDED_ALONE:
            return False
        watched = nanoseconds(self.config.monitor)
        return task.settled_at is None or task.status.timestamp - task.settled_at <= watched

    def _is_old(self, task: Task) -> bool:
        service = self._service
        if task.spec_version == service.spec_version:
            return False
        ours, wanted = template(service, task.spec_version.index), service.spec.task_template
        if ours == wanted or _without_placement(ours) != _without_placement(wanted):
            return True
        node = self._view.get(Node, task.node_id)
        return node is None or not node_allows(node, wanted)


def _without_placement(spec: TaskSpec) -> TaskSpec:
    """What a running task cannot change: all but where it may run and how it is restarted."""
    return msgspec.structs.replace(spec, placement=None, restart_policy=None)


def _runs(task: Task) -> bool:
    return task.status.state == TaskState.RUNNING
