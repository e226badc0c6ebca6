"""Scheduling: PENDING → ASSIGNED. How nodes are judged and chosen is in manager/scheduler.

All pending tasks are looked at in one pass, those of one service and version together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain, islice

from msgspec.structs import replace

from common.model import Node, Task, TaskState
from common.model.service import Reservation
from manager.loops.base import Wake
from manager.scheduler.filters import READY, Verdicts, filters
from manager.scheduler.pending import Pending
from manager.scheduler.placement import preferences, tree
from manager.scheduler.usage import Load, Usage, claim, holds, reservation
from manager.specs import task_spec
from manager.store.base import Change, Changed, Put, View

FAILURES = 5  # of a service on one node within the window below, and the node is taken last
FAILURE_WINDOW = timedelta(minutes=5)
BATCH = 5000  # tasks in one commit


class Scheduler:
    """The only key is "pending": tasks compete for the same nodes."""

    name = "scheduler"
    serial = True

    def __init__(self) -> None:
        self._usage = Usage()
        self._pending = Pending()

    def keys(self, change: Changed) -> Iterable[str]:
        before, after = change.before, change.after
        if isinstance(change.object, Node):
            self._usage.forget(change.object.id)
            return ("pending",) if _moved(change) else ()
        if not isinstance(change.object, Task):
            return ()
        assert isinstance(before, Task | None)
        assert isinstance(after, Task | None)
        self._pending.changed(before, after)
        held, holding = before is not None and holds(before), after is not None and holds(after)
        if held != holding:
            self._usage.changed(change.object)
        pending = after is not None and after.status.state is TaskState.PENDING and not _same_status(before, after)
        return ("pending",) if pending or (held and not holding) else ()

    def start(self, view: View) -> Iterable[str]:
        self._usage = Usage()
        self._pending = Pending(view.find(Task, "state", TaskState.PENDING))
        return ("pending",)

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        self._usage.begin()
        result: list[Change | Wake] = []
        loads = [self._usage.load(view, node) for node in view.all(Node)] if self._pending else []
        ready = [load for load in loads if READY.check(load)]
        for tasks in self._pending.groups(view):
            for task in islice(_place(view, loads, ready, tasks), BATCH - len(result)):
                if task.status.state is TaskState.ASSIGNED:
                    self._usage.expect(task)
                result.append(Put(task))
            if len(result) == BATCH:
                return [*result, Wake("pending", view.now)]
        return result


def _place(view: View, loads: list[Load], ready: list[Load], tasks: Iterator[Task]) -> Iterator[Task]:
    """Tasks that are alike, each with its node or with the reason why it has none, where that is news."""
    first = next(tasks, None)
    spec = task_spec(view, first) if first is not None else None
    if first is None or spec is None:
        return
    if first.node_id:
        loads, ready = ([load for load in some if load.node.id == first.node_id] for some in (loads, ready))
    wanted, verdicts = reservation(spec), Verdicts(filters(first, spec), len(loads) - len(ready))
    nodes = tree(first.service_id, ready, preferences(spec), _troubled(view, first.service_id))
    for task in chain((first,), tasks):
        load = nodes.best(verdicts.fits)
        if load is not None:
            assigned = _assigned(view, task, load, wanted)
            load.place(assigned, wanted)
            nodes.placed()
            yield assigned
        elif task.status.err != (reason := verdicts.explain()):
            yield replace(task, status=replace(task.status, timestamp=view.now, err=reason))


def _assigned(view: View, task: Task, load: Load, wanted: Reservation) -> Task:
    message = (
        "scheduler confirmed task can run on preassigned node" if task.node_id else "scheduler assigned task to node"
    )
    status = replace(task.status, timestamp=view.now, state=TaskState.ASSIGNED, message=message, err="")
    generic = tuple(claim(load, wanted.generic_resources) or ())
    return replace(task, node_id=load.node.id, status=status, assigned_generic_resources=generic)


def _troubled(view: View, service_id: str) -> frozenset[str]:
    """Nodes on which the service's tasks failed again and again lately."""
    failures = Counter(
        task.node_id
        for state in (TaskState.FAILED, TaskState.REJECTED)
        for task in view.find(Task, "state", state)
        if task.service_id == service_id and view.now - task.status.timestamp < FAILURE_WINDOW
    )
    return frozenset(node for node, count in failures.items() if count >= FAILURES)


def _moved(change: Changed) -> bool:
    """Whether the node may take other tasks than before."""
    before, after = change.before, change.after
    if not isinstance(before, Node) or not isinstance(after, Node):
        return True
    return (before.spec, before.status, before.description) != (after.spec, after.status, after.description)


def _same_status(before: Task | None, after: Task) -> bool:
    return before is not None and before.status.state is after.status.state
