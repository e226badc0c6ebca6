"""Constraint enforcement: tasks leave a node that no longer meets their constraints; their slots are filled elsewhere.

Draining is the restart loop's, global services are their own loop's, changed services the updater's.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.model import Node, Task
from manager.loops.base import Wake
from manager.loops.slots import live, stop
from manager.scheduler.constraints import node_allows
from manager.specs import task_spec
from manager.store.base import Change, Changed, View


class Enforcer:
    """Keys are node ids."""

    name = "enforcer"
    serial = False

    def keys(self, change: Changed) -> Iterable[str]:
        before, after = change.before, change.after
        if not isinstance(before, Node) or not isinstance(after, Node):
            return ()
        same = (before.spec.labels, before.spec.role, before.description) == (
            after.spec.labels, after.spec.role, after.description,
        )  # fmt: skip
        return () if same else (after.id,)

    def start(self, view: View) -> Iterable[str]:
        return [node.id for node in view.all(Node)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        node = view.get(Node, key)
        if node is None:
            return []
        tasks = (task for task in view.find(Task, "node", key) if task.slot and live(task))
        return [stop(task) for task in tasks if not task.status.state.terminal and _misplaced(view, node, task)]


def _misplaced(view: View, node: Node, task: Task) -> bool:
    spec = task_spec(view, task)
    return spec is not None and not node_allows(node, spec)
