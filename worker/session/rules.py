"""The rules of one task's life: how far its state may go by what is seen, and which action comes next. Pure functions.

States only go forward. A container that is seen running for a task that has ended (its node was thought dead, say) is
stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.model import ContainerStatus, NetworkAttachment, Task, TaskState, TaskStatus
from common.model.task import PortStatus
from common.wire import Assignments
from worker.session.actions import Action, Kind
from worker.session.base import Phase, Seen

UNHEALTHY = "unhealthy container"


@dataclass
class Known:
    """All that the worker knows of one task. `task` None: no longer assigned, to be removed."""

    task: Task | None
    status: TaskStatus
    seen: Seen | None = None
    busy: Action | None = None
    complete: bool = True  # everything that the task needs to be prepared is assigned too
    unhealthy: bool = False
    networks: tuple[str, ...] = ()

    @property
    def unwanted(self) -> bool:
        """True where the container must not run (any more)."""
        return self.task is None or self.task.desired_state.order >= TaskState.SHUTDOWN.order

    @property
    def held(self) -> bool:
        """True where the container is to be prepared, not started."""
        return self.task is not None and self.task.desired_state.order < TaskState.STARTING.order


def has_all(task: Task, assignments: Assignments) -> bool:
    """True where the secrets, configs and overlay networks that the task needs are assigned with it."""
    spec = task.spec.container_spec if task.spec else None
    if spec is None:
        return True
    return (
        all(ref.secret_id in assignments.secrets for ref in spec.secrets)
        and all(ref.config_id in assignments.configs for ref in spec.configs)
        and all(a.network_id in assignments.networks for a in task.networks_attachments if _assigned(a))
    )


def _assigned(attachment: NetworkAttachment) -> bool:
    """Whether the network comes with the assignments; a node's own (host, none) does not."""
    return attachment.network is None or attachment.network.spec.driver == "overlay"


def advance(known: Known, now: datetime) -> TaskStatus | None:
    """The next state that what is seen allows, None where the state is as far as it can be."""
    if known.status.state.terminal or known.task is None:
        return None
    if known.seen is None:
        return _advance_unseen(known, now)
    if known.seen.phase is Phase.CREATED:
        return _advance_created(known, now)
    if known.seen.phase is Phase.RUNNING:
        return _advance_running(known, now)
    return _advance_exited(known, now)


def _advance_unseen(known: Known, now: datetime) -> TaskStatus | None:
    state = known.status.state
    if known.busy is not None:
        return None
    if known.unwanted:
        return status_of(known, TaskState.SHUTDOWN, "shutdown", now)
    if state.order >= TaskState.READY.order:
        return status_of(known, TaskState.FAILED, "lost", now, "the task's container is gone")
    if state.order < TaskState.ACCEPTED.order:
        return status_of(known, TaskState.ACCEPTED, "accepted", now)
    if state is TaskState.ACCEPTED and known.complete:
        return status_of(known, TaskState.PREPARING, "preparing", now)
    return None


def _advance_created(known: Known, now: datetime) -> TaskStatus | None:
    state = known.status.state
    if known.busy is not None:
        return None
    if known.unwanted:
        return status_of(known, TaskState.SHUTDOWN, "shutdown", now)
    if state.order < TaskState.READY.order:
        return status_of(known, TaskState.READY, "prepared", now)
    if state is TaskState.READY and not known.held:
        return status_of(known, TaskState.STARTING, "starting", now)
    if state is TaskState.RUNNING:
        return status_of(known, TaskState.FAILED, "lost", now, "the task's container does not run")
    return None


def _advance_running(known: Known, now: datetime) -> TaskStatus | None:
    assert known.seen is not None
    if known.seen.health == "unhealthy":
        known.unhealthy = True
    healthy = known.seen.health in ("", "healthy")
    if known.status.state is not TaskState.RUNNING:
        if healthy and not known.unwanted:
            return status_of(known, TaskState.RUNNING, "started", now)
        if known.status.state.order < TaskState.STARTING.order:
            return status_of(known, TaskState.STARTING, "starting", now)
    if known.status.healthy != healthy:
        return status_of(known, known.status.state, known.status.message, now)
    return None


def _advance_exited(known: Known, now: datetime) -> TaskStatus:
    assert known.seen is not None
    if known.unhealthy:
        return status_of(known, TaskState.FAILED, "failed", now, _exit_text(known.seen) + ": " + UNHEALTHY)
    if known.unwanted:
        return status_of(known, TaskState.SHUTDOWN, "shutdown", now)
    if known.seen.exit_code == 0:
        return status_of(known, TaskState.COMPLETE, "finished", now)
    reason = ": out of memory" if known.seen.oom_killed else ""
    return status_of(known, TaskState.FAILED, "failed", now, _exit_text(known.seen) + reason)


def _exit_text(seen: Seen) -> str:
    return f"task: non-zero exit ({seen.exit_code})"


def next_action(known: Known) -> Kind | None:
    """What brings the container closer to what is wanted, None where nothing is to be done now."""
    phase = known.seen.phase if known.seen is not None else None
    if phase is Phase.RUNNING:
        stop = known.unwanted or known.unhealthy or known.status.state.terminal
        return Kind.STOP if stop else None
    if known.task is None:
        return Kind.REMOVE
    if phase is None and known.status.state is TaskState.PREPARING and known.complete:
        return Kind.PREPARE
    if phase is Phase.CREATED and known.status.state is TaskState.STARTING:
        return Kind.START
    return None


def status_of(known: Known, state: TaskState, message: str, now: datetime, err: str = "") -> TaskStatus:
    seen = known.seen
    if seen is None:
        container = known.status.container_status
        return TaskStatus(timestamp=now, state=state, message=message, err=err, container_status=container)
    return TaskStatus(
        timestamp=now,
        state=state,
        message=message,
        err=err,
        container_status=ContainerStatus(container_id=seen.container_id, pid=seen.pid, exit_code=seen.exit_code),
        port_status=PortStatus(ports=list(seen.ports)) if seen.ports else None,
        healthy=seen.health in ("", "healthy"),
    )
