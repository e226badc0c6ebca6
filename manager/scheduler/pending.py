"""Which tasks wait for a node, those that are alike together. Kept by events, begun anew from a view; no source of truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from common.model import Task, TaskState
from manager.store.base import View

Group = tuple[str, int, str]  # service, spec version, and the node where they have theirs already
WANTED = frozenset(state for state in TaskState if state.order <= TaskState.COMPLETE.order)


class Pending:
    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._groups: dict[Group, dict[str, None]] = {}
        for task in tasks:
            self.changed(None, task)

    def changed(self, before: Task | None, after: Task | None) -> None:
        if before is not None and waits(before):
            group = self._groups[_group(before)]
            del group[before.id]
            if not group:
                del self._groups[_group(before)]
        if after is not None and waits(after):
            self._groups.setdefault(_group(after), {})[after.id] = None

    def __bool__(self) -> bool:
        return bool(self._groups)

    def groups(self, view: View) -> Iterator[Iterator[Task]]:
        """The tasks of each group, those first that came first."""
        for ids in self._groups.values():
            yield filter(None, (view.get(Task, id) for id in ids))


def waits(task: Task) -> bool:
    return task.status.state is TaskState.PENDING and task.desired_state in WANTED


def _group(task: Task) -> Group:
    return task.service_id, task.spec_version.index, task.node_id
