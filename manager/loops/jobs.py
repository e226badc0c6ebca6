"""Jobs: tasks that run once to completion. An iteration begins with each update; tasks of older ones are removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from common.ids import object_id
from common.model import Node, Service, Task, TaskState
from manager.loops.base import Wake
from manager.loops.slots import (
    Ids,
    accepts_tasks,
    by_slot,
    finished,
    is_job,
    iteration,
    live,
    mode,
    new_task,
    remove,
    turned,
)
from manager.scheduler.constraints import node_allows
from manager.store.base import Change, Changed, Put, View


class Jobs:
    """Keys are service ids; "nodes" looks at all global jobs."""

    name = "jobs"
    serial = True

    def __init__(self, ids: Ids = object_id) -> None:
        self._ids = ids

    def keys(self, change: Changed) -> Iterable[str]:
        subject = change.object
        if isinstance(subject, Service) and is_job(subject):
            return (subject.id,)
        if isinstance(subject, Task) and subject.job_iteration is not None and turned(change):
            return (subject.service_id,)
        return ("nodes",) if isinstance(subject, Node) else ()

    def start(self, view: View) -> Iterable[str]:
        return [service.id for service in view.all(Service) if is_job(service)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        if key == "nodes":
            jobs = [service for service in view.all(Service) if mode(service) == "global-job"]
            return [change for service in jobs for change in self._job(view, service)]
        service = view.get(Service, key)
        return [*self._job(view, service)] if service is not None and is_job(service) else []

    def _job(self, view: View, service: Service) -> Iterator[Change]:
        tasks = view.find(Task, "service", service.id)
        present = [t for t in tasks if t.job_iteration and t.job_iteration.index == iteration(service)]
        kept = {task.id for task in present}
        for task in tasks:
            if task.id not in kept and task.desired_state != TaskState.REMOVE:
                yield remove(task)
        slots = by_slot(present)
        if mode(service) == "replicated-job":
            yield from self._replicated(service, slots)
        else:
            yield from self._global(view, service, slots)

    def _replicated(self, service: Service, slots: dict[str, list[Task]]) -> Iterator[Change]:
        job = service.spec.mode.replicated_job
        concurrent = 1 if job is None or job.max_concurrent is None else job.max_concurrent
        total = concurrent if job is None or job.total_completions is None else job.total_completions
        over = [tasks for tasks in slots.values() if _over(service, tasks)]
        active = [tasks for tasks in slots.values() if not _over(service, tasks) and any(map(live, tasks))]
        taken = {tasks[0].slot for tasks in (*over, *active)}
        free = (slot for slot in range(1, total + len(taken) + 1) if slot not in taken)
        for _ in range(min(concurrent - len(active), total - len(taken))):
            yield Put(new_task(service, self._ids(), slot=next(free)))

    def _global(self, view: View, service: Service, slots: dict[str, list[Task]]) -> Iterator[Change]:
        for node in view.all(Node):
            tasks = slots.get(f"{service.id}.{node.id}", [])
            free = not tasks or not (any(map(live, tasks)) or _over(service, tasks))
            if free and accepts_tasks(node) and node_allows(node, service.spec.task_template):
                yield Put(new_task(service, self._ids(), node_id=node.id))


def _over(service: Service, tasks: list[Task]) -> bool:
    """The slot has completed, or failed for good."""
    return any(task.status.state == TaskState.COMPLETE for task in tasks) or (
        not any(map(live, tasks)) and finished(service, tasks)
    )
