"""Replicated services: as many filled slots as replicas are wanted. Replacing what fails is the restart loop's work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from common.ids import object_id
from common.model import Service, Task, TaskState
from manager.loops.base import Wake
from manager.loops.filled import Filled
from manager.loops.slots import Ids, by_slot, finished, live, mode, new_task, remove, stopped, turned
from manager.store.base import Change, Changed, Put, View

Slots = dict[int, list[Task]]
BATCH = 2000  # new tasks in one commit; their birth brings the key back


class Replicated:
    """Keys are service ids."""

    name = "replicated"
    serial = False

    def __init__(self, ids: Ids = object_id) -> None:
        self._ids = ids
        self._filled = Filled()

    def keys(self, change: Changed) -> Iterable[str]:
        before, after = change.before, change.after
        if isinstance(change.object, Service):
            return (change.object.id,)
        if not isinstance(change.object, Task) or not change.object.service_id:
            return ()
        assert isinstance(before, Task | None)
        assert isinstance(after, Task | None)
        self._filled.changed(before, after)
        return (change.object.service_id,) if turned(change) else ()

    def start(self, view: View) -> Iterable[str]:
        self._filled = Filled(view.all(Task))
        return [service.id for service in view.all(Service)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        service = view.get(Service, key)
        if service is None or service.pending_delete or mode(service) != "replicated":
            return []
        replicated = service.spec.mode.replicated
        wanted = 1 if replicated is None or replicated.replicas is None else replicated.replicas
        if self._settled(view, service, wanted):
            return []
        slots = {tasks[0].slot: tasks for tasks in by_slot(view.find(Task, "service", key)).values()}
        filled = {slot: tasks for slot, tasks in slots.items() if any(map(live, tasks))}
        done = {slot: tasks for slot, tasks in slots.items() if slot not in filled and finished(service, tasks)}
        if len(filled) + len(done) < wanted:
            return [*self._fill(view, service, slots, {*filled, *done}, wanted)]
        return [*_shrink(filled, done, wanted)]

    def _settled(self, view: View, service: Service, wanted: int) -> bool:
        """Whether neither too many nor too few slots are filled or done; a look at the ended ones only."""
        slots = self._filled.of(service.id)
        ended = by_slot(t for slot in slots.ended for t in view.find(Task, "slot", f"{service.id}.{slot}"))
        return slots.filled + sum(finished(service, tasks) for tasks in ended.values()) == wanted

    def _fill(self, view: View, service: Service, slots: Slots, taken: set[int], wanted: int) -> Iterator[Change]:
        slot = 0
        for _ in range(min(wanted - len(taken), BATCH)):
            slot = next(number for number in range(slot + 1, slot + len(taken) + 2) if number not in taken)
            waits = not all(stopped(view, task) for task in slots.get(slot, ()))
            yield Put(new_task(service, self._ids(), slot=slot, ready=waits))


def _shrink(filled: Slots, done: Slots, wanted: int) -> Iterator[Change]:
    """End surplus slots: finished ones first, then those not running, then on the busiest nodes, highest slot first."""
    surplus = len(filled) + len(done) - wanted
    finished_first = sorted(done, reverse=True)[: max(surplus, 0)]
    keep = max(wanted - len(done) + len(finished_first), 0)
    for slot in (*finished_first, *_by_worth(filled)[keep:]):
        for task in filled.get(slot) or done[slot]:
            if task.desired_state != TaskState.REMOVE:
                yield remove(task)


def _by_worth(slots: Slots) -> list[int]:
    """Slots, the ones to keep first. A slot counts as the nth of its service on its node."""
    on_node: Counter[str] = Counter()
    worth = {}
    for slot in sorted(slots, key=lambda slot: (not _running(slots[slot]), slot)):
        node = next(task.node_id for task in slots[slot] if live(task))
        on_node[node] += 1
        worth[slot] = (not _running(slots[slot]), on_node[node], slot)
    return sorted(slots, key=worth.__getitem__)


def _running(tasks: list[Task]) -> bool:
    return any(live(task) and task.status.state == TaskState.RUNNING for task in tasks)
