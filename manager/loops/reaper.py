"""The reaper: deletes the records of tasks that nobody needs, and past templates that no task runs any more.

A record goes when its task is to be removed and has stopped, or when its slot's history is over the cluster's limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from common.model import Cluster, Node, Service, Task, TaskState
from manager.loops.base import Wake
from manager.loops.slots import live, lost, remove, stopped, turned
from manager.specs import pruned
from manager.store.base import Change, Changed, Delete, Put, View
from manager.store.indices import slot_key

HISTORY = 5  # tasks kept for each slot where the cluster does not say


class Reaper:
    """Keys are "slot:<slot key>", "service:<id>", "node:<id>" and "all"."""

    name = "reaper"
    serial = False

    def keys(self, change: Changed) -> Iterable[str]:
        subject = change.object
        if isinstance(subject, Task) and turned(change):
            slot = f"slot:{slot_key(subject)}"
            return (slot,) if change.after else (slot, f"service:{subject.service_id}")
        if isinstance(subject, Service) and not change.after:
            return (f"service:{subject.id}",)
        if isinstance(subject, Node) and (change.after is None or subject.status.state == "down"):
            return (f"node:{subject.id}",)
        return ("all",) if isinstance(subject, Cluster) else ()

    def start(self, view: View) -> Iterable[str]:
        return ("all",)

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        kind, _, id = key.partition(":")
        match kind:
            case "slot":
                return [*_slot(view, id)]
            case "node":
                return [*_slots(view, view.find(Task, "node", id))]
            case "service":
                service = view.get(Service, id)
                return [*_templates(view, service)] if service else [*_slots(view, view.find(Task, "service", id))]
        templates = (change for service in view.all(Service) for change in _templates(view, service))
        return [*_slots(view, view.all(Task)), *templates]


def _slots(view: View, tasks: Iterable[Task]) -> Iterator[Change]:
    for slot in dict.fromkeys(map(slot_key, tasks)):
        yield from _slot(view, slot)


def _slot(view: View, slot: str) -> Iterator[Change]:
    tasks = sorted(view.find(Task, "slot", slot), key=lambda task: task.created_at)
    if not tasks:
        return
    if view.get(Service, tasks[0].service_id) is None:
        yield from (remove(task) for task in tasks if task.desired_state != TaskState.REMOVE)
    leaving = [task for task in tasks if task.desired_state == TaskState.REMOVE]
    yield from (Delete(task) for task in leaving if stopped(view, task))
    yield from map(Delete, _history(view, [task for task in tasks if task not in leaving]))


def _history(view: View, tasks: list[Task]) -> list[Task]:
    """Ended tasks over the limit, oldest first. The newest stays: it tells whether the slot is done."""
    dead = [task for task in tasks[:-1] if not live(task) and (task.status.state.terminal or _gone(view, task))]
    never_ran = [task for task in dead if task.status.state.order < TaskState.ASSIGNED.order]
    limit = _limit(view)
    ended = [task for task in dead if task not in never_ran]
    surplus = len(tasks) - len(never_ran) - limit if limit >= 0 else 0
    return [*never_ran, *ended[: max(surplus, 0)]]


def _gone(view: View, task: Task) -> bool:
    return task.status.state.order < TaskState.ASSIGNED.order or (
        lost(view, task) and view.get(Node, task.node_id) is None
    )


def _limit(view: View) -> int:
    cluster = next(iter(view.all(Cluster)), None)
    limit = cluster.spec.orchestration.task_history_retention_limit if cluster else None
    return HISTORY if limit is None else limit


def _templates(view: View, service: Service) -> Iterator[Change]:
    if service.past_templates:
        kept = pruned(service, {task.spec_version.index for task in view.find(Task, "service", service.id)})
        if kept != service:
            yield Put(kept)
