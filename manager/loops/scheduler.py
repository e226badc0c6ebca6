"""Scheduling: PENDING → ASSIGNED. How nodes are judged and chosen is in manager/scheduler.

All pending tasks are looked at in one pass, those of one service and version together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from msgspec.structs import replace

from common.model import Node, Task, TaskSpec, TaskState
from manager.loops.base import Wake
from manager.scheduler.filters import Verdicts, filters
from manager.scheduler.placement import preferences, tree
from manager.scheduler.usage import Load, Usage, claim, holds, reservation
from manager.specs import task_spec
from manager.store.base import Change, Changed, Put, View

FAILURES = 5  # of a service on one node within the window below, and the node is taken last
FAILURE_WINDOW = timedelta(minutes=5)
BATCH = 5000  # tasks in one commit
WANTED = frozenset(state for state in TaskState if state.order <= TaskState.COMPLETE.order)


class Scheduler:
    """The only key is "pending": tasks compete for the same nodes."""

    name = "scheduler"
    serial = True

    def __init__(self) -> None:
        self._usage = Usage()

    def keys(self, change: Changed) -> Iterable[str]:
        before, after = change.before, change.after
        if isinstance(change.object, Node):
            self._usage.forget(change.object.id)
            return ("pending",)
        if not isinstance(change.object, Task):
            return ()
        held = isinstance(before, Task) and holds(before)
        holding = isinstance(after, Task) and holds(after)
        if held != holding:
            self._usage.changed(change.object)
        pending = (
            isinstance(after, Task) and after.status.state == TaskState.PENDING and not _same_status(before, after)
        )
        return ("pending",) if pending or (held and not holding) else ()

    def start(self, view: View) -> Iterable[str]:
        self._usage = Usage()
        return ("pending",)

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        self._usage.begin()
        groups = _groups(view)
        loads = [self._usage.load(view, node) for node in view.all(Node)] if groups else []
        result: list[Change | Wake] = []
        for tasks in groups.values():
            room = BATCH - len(result)
            result.extend(_place(view, loads, sorted(tasks, key=lambda task: task.slot)[:room]))
            if len(tasks) > room:
                result.append(Wake("pending", view.now))
                break
        for change in result:
            if isinstance(change, Put) and isinstance(change.object, Task) and holds(change.object):
                self._usage.expect(change.object)
        return result


def _groups(view: View) -> dict[tuple[str, int, str], list[Task]]:
    """Pending tasks that are alike: of one service and version, and of one node where they have theirs already."""
    groups: dict[tuple[str, int, str], list[Task]] = defaultdict(list)
    for task in view.find(Task, "state", TaskState.PENDING):
        if task.desired_state in WANTED:
            groups[task.service_id, task.spec_version.index, task.node_id].append(task)
    return groups


def _place(view: View, loads: list[Load], tasks: list[Task]) -> Iterator[Change]:
    spec = task_spec(view, tasks[0])
    if spec is None:
        return
    verdicts = Verdicts(filters(tasks[0], spec))
    preassigned = tasks[0].node_id
    candidates = [load for load in loads if load.node.id == preassigned] if preassigned else loads
    nodes = tree(tasks[0].service_id, candidates, preferences(spec), _troubled(view, tasks[0].service_id))
    for task in tasks:
        load = nodes.take(verdicts.fits)
        if load is None:
            yield from _explained(view, task, verdicts.explain())
            continue
        assigned = _assigned(view, task, load, spec)
        load.place(assigned, spec)
        nodes.give_back(load)
        yield Put(assigned)


def _assigned(view: View, task: Task, load: Load, spec: TaskSpec) -> Task:
    message = (
        "scheduler confirmed task can run on preassigned node" if task.node_id else "scheduler assigned task to node"
    )
    status = replace(task.status, timestamp=view.now, state=TaskState.ASSIGNED, message=message, err="")
    generic = claim(load, reservation(spec).generic_resources) or []
    return replace(task, node_id=load.node.id, status=status, assigned_generic_resources=generic)


def _explained(view: View, task: Task, reason: str) -> Iterator[Change]:
    if task.status.err != reason:
        yield Put(replace(task, status=replace(task.status, timestamp=view.now, err=reason)))


def _troubled(view: View, service_id: str) -> frozenset[str]:
    """Nodes on which the service's tasks failed again and again lately."""
    failures = Counter(
        task.node_id
        for state in (TaskState.FAILED, TaskState.REJECTED)
        for task in view.find(Task, "state", state)
        if task.service_id == service_id and view.now - task.status.timestamp < FAILURE_WINDOW
    )
    return frozenset(node for node, count in failures.items() if count >= FAILURES)


def _same_status(before: object, after: Task) -> bool:
    return isinstance(before, Task) and before.status.state == after.status.state
