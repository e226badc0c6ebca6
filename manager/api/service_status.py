"""How many tasks a service runs, wants and has completed, as `docker service ls` shows it."""

from __future__ import annotations

from collections.abc import Sequence

from common.model import Node, Service, Task, TaskState
from manager.loops.slots import iteration, mode
from manager.store.base import View


def service_status(view: View, service: Service) -> dict[str, int]:
    tasks = view.find(Task, "service", service.id)
    kind = mode(service)
    if kind.endswith("-job"):
        tasks = [t for t in tasks if t.job_iteration and t.job_iteration.index == iteration(service)]
    running = sum(task.status.state == TaskState.RUNNING and not _lost(view, task) for task in tasks)
    completed = sum(task.status.state == TaskState.COMPLETE for task in tasks)
    wanted = _wanted(service, kind, tasks)
    return {"RunningTasks": running, "DesiredTasks": wanted, "CompletedTasks": completed if kind.endswith("job") else 0}


def _wanted(service: Service, kind: str, tasks: Sequence[Task]) -> int:
    given = service.spec.mode
    if kind == "replicated":
        return 1 if given.replicated is None or given.replicated.replicas is None else given.replicated.replicas
    if given.replicated_job is not None:
        concurrent = given.replicated_job.max_concurrent
        return 1 if concurrent is None else concurrent
    live = (TaskState.RUNNING, TaskState.READY, TaskState.COMPLETE)
    return sum(task.desired_state in live and task.status.state != TaskState.COMPLETE for task in tasks)


def _lost(view: View, task: Task) -> bool:
    node = view.get(Node, task.node_id)
    return node is None or node.status.state == "down"
