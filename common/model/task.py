"""Tasks: one attempt to run one container. A task never moves between nodes and never comes back.

`desired_state` is written by managers only, `status` from ACCEPTED on by the worker only.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from common.model.base import EPOCH, Object, Spec, Version
from common.model.network import Network
from common.model.service import PortConfig, TaskSpec
from common.model.shared import GenericResource


class TaskState(StrEnum):
    """States only go forward, in this order (Swarm's task model)."""

    NEW = "new"
    PENDING = "pending"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETE = "complete"
    SHUTDOWN = "shutdown"
    FAILED = "failed"
    REJECTED = "rejected"
    ORPHANED = "orphaned"
    REMOVE = "remove"

    order: int
    terminal: bool  # from COMPLETE on: the container does not run any more

    def __init__(self, _: str) -> None:
        before = type(self).__members__
        self.order = len(before)
        self.terminal = self.name == "COMPLETE" or "COMPLETE" in before


class ContainerStatus(Spec, omit_defaults=False, frozen=True, kw_only=True):
    container_id: str = ""
    pid: int = 0
    exit_code: int = 0


class PortStatus(Spec, frozen=True, kw_only=True):
    ports: list[PortConfig] = []


class TaskStatus(Spec, frozen=True, kw_only=True):
    timestamp: datetime = EPOCH
    state: TaskState = TaskState.NEW
    message: str = ""
    err: str = ""
    container_status: ContainerStatus | None = None
    port_status: PortStatus | None = None
    healthy: bool = True  # Shoal's own: False while a health check has not passed or fails


class NetworkAttachment(Spec, frozen=True, kw_only=True):
    """A task's place on one network. In API answers `network` is filled in; in the store only its id is kept."""

    network_id: str = ""
    network: Network | None = None
    addresses: list[str] = []  # with prefix length
    aliases: list[str] = []
    driver_opts: dict[str, str] = {}


class Task(Object, frozen=True, kw_only=True):
    """`spec_version` names the version of the service's spec that this task runs; `spec` is filled in where a task leaves
    the store (API, assignments; manager/specs.py), and kept only by tasks whose service is gone.

    `service_annotations`: the service's labels, filled in for the worker, whose templates may name them.
    `restarts`: when predecessors in this slot were restarted, as far as the restart policy counts attempts.
    `settled_at`: when a rolling update saw this task running and healthy.
    A store holds very many tasks: what most of them lack must cost no memory, so lists are tuples."""

    service_id: str = ""
    slot: int = 0
    node_id: str = ""
    spec: TaskSpec | None = None
    spec_version: Version = Version()
    status: TaskStatus = TaskStatus()
    desired_state: TaskState = TaskState.NEW
    networks_attachments: tuple[NetworkAttachment, ...] = ()
    endpoint_ports: tuple[PortConfig, ...] = ()  # host-mode ports that the allocator gave
    assigned_generic_resources: tuple[GenericResource, ...] = ()
    name: str = ""
    service_annotations: dict[str, str] | None = None
    job_iteration: Version | None = None
    restarts: tuple[datetime, ...] = ()
    settled_at: datetime | None = None
