"""Orphans: tasks of which nothing will be heard any more end as ORPHANED, so that what they held is free.

Those are the tasks of a node that was removed, and of one that has been down for a day. Until then a task on a node that is
down keeps its last state: it probably runs. A node that comes back stops the containers of its orphans.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from msgspec.structs import replace

from common.model import Node, Task, TaskState, TaskStatus
from manager.loops.base import Wake
from manager.store.base import Change, Changed, Put, View

PATIENCE = timedelta(hours=24)


class Orphans:
    """Keys are node ids."""

    name = "orphans"
    serial = False

    def keys(self, change: Changed) -> Iterable[str]:
        node = change.object
        if not isinstance(node, Node) or not (change.after is None or node.status.state == "down"):
            return ()
        return (node.id,)

    def start(self, view: View) -> Iterable[str]:
        known = {node.id: node.status.state for node in view.all(Node)}
        gone = dict.fromkeys(task.node_id for task in view.all(Task) if task.node_id and task.node_id not in known)
        return [*gone, *(id for id, state in known.items() if state == "down")]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        node = view.get(Node, key)
        if node is not None and node.status.state != "down":
            return []
        tasks = [task for task in view.find(Task, "node", key) if _open(task)]
        if node is not None and tasks and view.now < (due := node.updated_at + PATIENCE):
            return [Wake(key, due)]
        return [Put(replace(task, status=_orphaned(view, task))) for task in tasks]


def _open(task: Task) -> bool:
    return TaskState.ASSIGNED.order <= task.status.state.order <= TaskState.RUNNING.order


def _orphaned(view: View, task: Task) -> TaskStatus:
    return replace(task.status, timestamp=view.now, state=TaskState.ORPHANED, message="orphaned")
