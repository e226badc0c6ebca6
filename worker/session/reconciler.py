"""Tasks wanted + containers seen → actions and task states. Pure: no I/O, and the only clock is the `now` of each call.

After every event (an assignment, an action's end, a container's change) the rules (rules.py) are applied to the tasks that
it touches: first the state moves forward as far as what is seen allows, then the one action follows that brings the
container closer to what is wanted. At most one action per task is under way, so a task's actions never overtake each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from common.model import Task, TaskState, TaskStatus
from common.wire import Assignments
from worker.session.actions import Action, Done, Kind
from worker.session.base import Phase, Seen
from worker.session.rules import Known, advance, has_all, next_action, status_of


class Reconciler:
    """The worker's tasks. Every method takes one event and returns the actions that follow from it."""

    def __init__(self, found: Mapping[str, Seen]) -> None:
        """`found`: the tasks' containers that are on the node already, by task id."""
        self._found = dict(found)
        self._known: dict[str, Known] = {}
        self._changed: dict[str, TaskStatus] = {}

    def assign(self, assignments: Assignments, now: datetime) -> list[Action]:
        """The full set of tasks: new ones are taken up, changed ones looked at, absent ones removed."""
        absent = [task_id for task_id in self._known if task_id not in assignments.tasks]
        for task_id in absent:
            self._known[task_id].task = None
        for task in assignments.tasks.values():
            self._take(task, has_all(task, assignments))
        return self._settle([*absent, *assignments.tasks], now)

    def _take(self, task: Task, complete: bool) -> None:
        known = self._known.get(task.id)
        if known is None:
            known = self._known[task.id] = Known(task, task.status, self._found.pop(task.id, None))
        known.task = task
        known.complete = complete
        known.networks = tuple(a.network_id for a in task.networks_attachments)
        if task.status.state.order > known.status.state.order or _same(task.status, known.status):
            known.status = task.status
            self._changed.pop(task.id, None)

    def drop_orphans(self, now: datetime) -> list[Action]:
        """Remove the found containers of tasks that are not assigned. Only for when a manager has confirmed the set."""
        for task_id, seen in self._found.items():
            self._known[task_id] = Known(None, TaskStatus(state=TaskState.ORPHANED), seen)
        orphans, self._found = list(self._found), {}
        return self._settle(orphans, now)

    def observe(self, task_id: str, seen: Seen | None, now: datetime) -> list[Action]:
        """A container changed by itself, or by an action that is under way."""
        known = self._known.get(task_id)
        if known is None:
            self._observe_found(task_id, seen)
            return []
        if known.busy is None or known.busy.kind in (Kind.START, Kind.STOP):
            known.seen = seen
        return self._settle([task_id], now)

    def _observe_found(self, task_id: str, seen: Seen | None) -> None:
        if seen is None:
            self._found.pop(task_id, None)
        elif task_id in self._found:
            self._found[task_id] = seen

    def finish(self, done: Done, now: datetime) -> list[Action]:
        """An action ended."""
        task_id = done.action.task_id
        known = self._known[task_id]
        assert known.busy is done.action
        known.busy = None
        if done.error:
            self._fail(known, done, now)
        elif done.action.kind is Kind.REMOVE and known.task is None:
            del self._known[task_id]
            return []
        else:
            known.seen = _later(known.seen, done.seen)
        return self._settle([task_id], now)

    def _fail(self, known: Known, done: Done, now: datetime) -> None:
        if known.status.state.terminal:
            return
        prepare = done.action.kind is Kind.PREPARE
        state = TaskState.REJECTED if prepare else TaskState.FAILED
        text = done.error if prepare else f"starting container failed: {done.error}"
        self._move(done.action.task_id, known, status_of(known, state, done.action.kind.value, now, text))

    def take_changes(self) -> dict[str, TaskStatus]:
        """Statuses that changed since the last call, the latest of each task."""
        changed, self._changed = self._changed, {}
        return changed

    def unreported(self) -> dict[str, TaskStatus]:
        """Statuses that differ from those which came with the assignments: what a manager may not know."""
        return {
            task_id: known.status
            for task_id, known in self._known.items()
            if known.task is not None and known.status != known.task.status
        }

    def __len__(self) -> int:
        """Tasks that are known, also those that are being removed."""
        return len(self._known)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._known

    def networks(self) -> set[str]:
        """Networks of all tasks that are known, also of those that are being removed."""
        return {network for known in self._known.values() for network in known.networks}

    def started_container(self, task_id: str) -> str | None:
        """The id of the task's container, None while it was not started: only then it has a log that can be followed."""
        known = self._known.get(task_id)
        seen = known.seen if known is not None else None
        return seen.container_id if seen is not None and seen.phase is not Phase.CREATED else None

    def _settle(self, task_ids: Iterable[str], now: datetime) -> list[Action]:
        actions = []
        for task_id in task_ids:
            known = self._known[task_id]
            while (status := advance(known, now)) is not None:
                self._move(task_id, known, status)
            if known.busy is None and (kind := next_action(known)) is not None:
                known.busy = Action(kind, task_id, known.task if kind is Kind.PREPARE else None)
                actions.append(known.busy)
        return actions

    def _move(self, task_id: str, known: Known, status: TaskStatus) -> None:
        known.status = status
        self._changed[task_id] = status

    def validate(self) -> None:
        """The invariants, for tests."""
        for task_id, known in self._known.items():
            assert known.busy is None or known.busy.task_id == task_id
            assert known.task is None or known.task.id == task_id
            assert known.task is None or known.status.state.order >= known.task.status.state.order


def _same(told: TaskStatus, known: TaskStatus) -> bool:
    """True where a manager's record says what the worker knows, with an older time stamp at most."""
    return msgspec.structs.replace(told, timestamp=known.timestamp) == known


_RANK = {phase: number for number, phase in enumerate(Phase)}


def _later(before: Seen | None, result: Seen | None) -> Seen | None:
    """An action's result, unless something later was observed while the result was on its way."""
    if before is None or result is None or _RANK[before.phase] < _RANK[result.phase]:
        return result
    return before
