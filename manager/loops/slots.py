"""What the loops over services share: slots, live tasks, how tasks are born and ended, which nodes can hold one.

A slot is a place of a service that one running task fills; for global services it is a node. All functions are pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from common.model import SECOND, Node, Service, Task, TaskState, TaskStatus, Version
from common.model.service import TaskRestartPolicy
from manager.store.base import Change, Changed, Delete, Put, View
from manager.store.indices import slot_key

Ids = Callable[[], str]

RESTART_DELAY = 5 * SECOND
ENDED_ALONE = (TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED)


def mode(service: Service) -> str:
    """replicated, global, replicated-job or global-job."""
    given = service.spec.mode
    if given.global_ is not None:
        return "global"
    if given.replicated_job is not None:
        return "replicated-job"
    return "replicated" if given.global_job is None else "global-job"


def is_job(service: Service) -> bool:
    return mode(service).endswith("-job")


def iteration(service: Service) -> int:
    return service.job_status.job_iteration.index if service.job_status else 0


def nanoseconds(value: int) -> timedelta:
    return timedelta(microseconds=value / 1000)


def live(task: Task) -> bool:
    """Wanted to run (a job's task: to complete)."""
    return task.desired_state.order <= TaskState.COMPLETE.order


def lost(view: View, task: Task) -> bool:
    """Assigned to a node that is down or was removed, so that nothing more will be heard of the task."""
    if not task.node_id or task.status.state.order < TaskState.ASSIGNED.order:
        return False
    node = view.get(Node, task.node_id)
    return node is None or node.status.state == "down"


def holds_tasks(node: Node | None) -> bool:
    """Whether tasks may stay on the node: it is neither gone, nor down, nor drained."""
    return node is not None and node.status.state != "down" and node.spec.availability != "drain"


def accepts_tasks(node: Node) -> bool:
    """Whether new tasks may come to the node, now or as soon as it is ready."""
    return node.status.state != "down" and node.spec.availability == "active"


def stopped(view: View, task: Task) -> bool:
    """No container of the task runs any more, as far as can be known."""
    return task.status.state.terminal or task.status.state.order < TaskState.ASSIGNED.order or lost(view, task)


def by_slot(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """Slot key → tasks, oldest first."""
    slots: dict[str, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda task: task.created_at):
        slots[slot_key(task)].append(task)
    return slots


def new_task(service: Service, id: str, *, slot: int = 0, node_id: str = "", ready: bool = False) -> Task:
    """A task NEW of the service's present spec; `ready`: it must wait for a predecessor before it runs."""
    job = is_job(service)
    running = TaskState.COMPLETE if job else TaskState.RUNNING
    return Task(
        id=id,
        service_id=service.id,
        slot=slot,
        node_id=node_id,
        spec_version=service.spec_version,
        status=TaskStatus(state=TaskState.NEW, message="created"),
        desired_state=TaskState.READY if ready else running,
        name=f"{service.spec.name}.{slot or node_id}.{id}",
        job_iteration=Version(index=iteration(service)) if job else None,
    )


def turned(change: Changed) -> bool:
    """A task's birth, end or changed wish; not every step of a starting task."""
    before, after = change.before, change.after
    if not isinstance(before, Task) or not isinstance(after, Task):
        return True
    return before.desired_state != after.desired_state or before.status.state.terminal != after.status.state.terminal


def stop(task: Task) -> Put:
    return Put(replace(task, desired_state=TaskState.SHUTDOWN))


def remove(task: Task) -> Change:
    """End the task and its record: at once where no worker has it, else when its worker reports the end."""
    if task.status.state.order < TaskState.ASSIGNED.order:
        return Delete(task)
    return Put(replace(task, desired_state=TaskState.REMOVE))


def restart_policy(service: Service) -> TaskRestartPolicy:
    return service.spec.task_template.restart_policy or TaskRestartPolicy()


def restart_delay(service: Service) -> timedelta:
    delay = restart_policy(service).delay
    return nanoseconds(RESTART_DELAY if delay is None else delay)


def may_restart(service: Service, task: Task) -> bool:
    """Whether the policy gives the ended `task` a successor. Its attempts are counted up to the moment of its end."""
    policy = restart_policy(service)
    if policy.condition == "none":
        return False
    if task.status.state == TaskState.COMPLETE and (policy.condition == "on-failure" or is_job(service)):
        return False
    if not policy.max_attempts or task.spec_version != service.spec_version:
        return True
    return len(counted_restarts(service, task)) < policy.max_attempts


def counted_restarts(service: Service, task: Task) -> tuple[datetime, ...]:
    """The restarts of the task's slot that count against max_attempts: those in the window before the task's end."""
    policy = restart_policy(service)
    if not policy.max_attempts or task.spec_version != service.spec_version:
        return ()
    if not policy.window:
        return task.restarts
    begin = task.status.timestamp - nanoseconds(policy.window)
    return tuple(moment for moment in task.restarts if moment >= begin)


def finished(service: Service, tasks: list[Task]) -> bool:
    """Of a slot without live tasks: its newest one ended by itself, and the restart policy leaves it at that."""
    newest = tasks[-1]
    return (
        newest.status.state in ENDED_ALONE
        and newest.spec_version == service.spec_version
        and not may_restart(service, newest)
    )
