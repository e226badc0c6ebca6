"""The session's boundary to the engine: what a task's container looks like, and the few things that are done to it.

ContainerHost (host.py) is the real implementation; tests have a fake, and one conformance suite runs both.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from common.model import PortConfig, Task
from common.model.node import TLSInfo
from common.wire import Assignments
from common.wire import Membership as MembershipMessage
from worker.runtime.base import LogReader


class Phase(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A task's container as it really is. `health`: "" without a health check, else starting, healthy, unhealthy."""

    container_id: str
    phase: Phase
    pid: int = 0
    exit_code: int = 0
    health: str = ""
    oom_killed: bool = False
    ports: tuple[PortConfig, ...] = ()  # host-mode ports, as they are bound


class TaskHost(Protocol):
    """The containers of tasks on one node. All actions are idempotent, so that they may be tried again."""

    async def prepare(self, task: Task, assignments: Assignments) -> Seen:
        """Create the task's container with its networks, secrets and configs; nothing is left behind on failure."""

    async def start(self, task_id: str) -> Seen: ...

    async def stop(self, task_id: str) -> Seen | None:
        """Stop with the container's own signal and grace period; None where the container is gone."""

    async def remove(self, task_id: str) -> None:
        """Remove the container and its files, also of a task that was never prepared."""

    async def observe(self) -> Mapping[str, Seen]:
        """All tasks' containers on this node, by task id, whoever made them."""

    def watch(self) -> AsyncIterator[tuple[str, Seen | None]]:
        """(task id, what its container looks like now) after each change; None: it is gone."""

    def log(self, container_id: str) -> LogReader:
        """The container's log. Raises NotFound."""


class Membership(Protocol):
    """This node's place in its cluster, which may become another one at any time; worker/membership is the real one."""

    @property
    def node_id(self) -> str: ...

    def managers(self) -> Sequence[str]:
        """Where sessions may be had, best first: unix:///path, or host:port over TLS."""

    def client_context(self) -> ssl.SSLContext | None:
        """The TLS context for managers over the network."""

    def tls_info(self) -> TLSInfo | None:
        """Whom this node trusts, and who issued its certificate; None without one."""

    def data_path(self) -> str:
        """The address at which this node takes in the cluster's networks; empty where it is a cluster of its own."""

    def told(self, message: MembershipMessage) -> None:
        """A manager says what the node is wanted as."""

    def refused(self, reason: str) -> None:
        """Managers do not take this node in, for this reason; empty once one does."""

    async def changed(self) -> None:
        """Return once the node is another one, or in another cluster: its sessions must begin anew."""
