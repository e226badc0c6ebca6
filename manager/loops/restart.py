"""Restart: a task that ended, or whose node is lost or drained, makes room for a successor in its slot.

The successor is wanted READY, so that it prepares; it is let run once its predecessors stopped and the policy's delay is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from common.ids import object_id
from common.model import Node, Service, Task, TaskState
from manager.loops.base import Wake
from manager.loops.slots import (
    ENDED_ALONE,
    Ids,
    counted_restarts,
    holds_tasks,
    is_job,
    live,
    may_restart,
    new_task,
    restart_delay,
    restart_policy,
    stop,
    stopped,
    turned,
)
from manager.store.base import Change, Changed, Put, View
from manager.store.indices import slot_key


class Restart:
    """Keys are "slot:<slot key>" and "node:<id>"."""

    name = "restart"
    serial = False

    def __init__(self, ids: Ids = object_id) -> None:
        self._ids = ids

    def keys(self, change: Changed) -> Iterable[str]:
        subject = change.object
        if isinstance(subject, Task) and subject.service_id and turned(change):
            return (f"slot:{slot_key(subject)}",)
        if isinstance(subject, Node) and _moved(change):
            return (f"node:{subject.id}",)
        return ()

    def start(self, view: View) -> Iterable[str]:
        return dict.fromkeys(f"slot:{slot_key(task)}" for task in view.all(Task) if task.service_id)

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        kind, _, id = key.partition(":")
        if kind == "slot":
            return [*self._slot(view, id)]
        slots = dict.fromkeys(slot_key(task) for task in view.find(Task, "node", id) if task.service_id)
        return [change for slot in slots for change in self._slot(view, slot)]

    def _slot(self, view: View, slot: str) -> Iterator[Change | Wake]:
        tasks = sorted(view.find(Task, "slot", slot), key=lambda task: task.created_at)
        service = view.get(Service, tasks[0].service_id) if tasks else None
        if service is None:
            return
        ended = [task for task in tasks if live(task) and _ended(view, service, task)]
        yield from map(stop, ended)
        alive = [task for task in tasks if live(task) and task not in ended]
        if ended and not alive and (successor := self._successor(view, service, ended[-1])):
            yield Put(successor)
        for task in alive:
            if task.desired_state == TaskState.READY:
                yield from _promote(view, service, tasks, task)

    def _successor(self, view: View, service: Service, task: Task) -> Task | None:
        if task.slot == 0 and not holds_tasks(view.get(Node, task.node_id)):
            return None
        alone = task.status.state in ENDED_ALONE
        if alone and not may_restart(service, task):
            return None
        node_id = "" if task.slot else task.node_id
        successor = new_task(service, self._ids(), slot=task.slot, node_id=node_id, ready=True)
        if task.job_iteration != successor.job_iteration:
            return None
        if not alone or not restart_policy(service).max_attempts:
            return successor
        return replace(successor, restarts=(*counted_restarts(service, task), task.status.timestamp))


def _ended(view: View, service: Service, task: Task) -> bool:
    if task.status.state.terminal:
        return not (is_job(service) and task.status.state == TaskState.COMPLETE)
    return bool(task.node_id) and not holds_tasks(view.get(Node, task.node_id))


def _promote(view: View, service: Service, tasks: list[Task], task: Task) -> Iterator[Change | Wake]:
    """Let a READY task run once every predecessor that has to go is gone, and the delay since its birth is over."""
    leaving = [other for other in tasks if not live(other) and other.created_at <= task.created_at]
    if not all(stopped(view, other) for other in leaving):
        return
    due = task.created_at
    if leaving and _ended_alone(leaving[-1], task):
        due += restart_delay(service)
    if view.now < due:
        yield Wake(f"slot:{slot_key(task)}", due)
    else:
        yield Put(replace(task, desired_state=TaskState.COMPLETE if is_job(service) else TaskState.RUNNING))


def _ended_alone(predecessor: Task, task: Task) -> bool:
    """Not stopped by the cluster, and not replaced by an update."""
    return predecessor.status.state in ENDED_ALONE and predecessor.spec_version == task.spec_version


def _moved(change: Changed) -> bool:
    before, after = change.before, change.after
    if not isinstance(before, Node) or not isinstance(after, Node):
        return True
    return before.spec.availability != after.spec.availability or before.status.state != after.status.state
