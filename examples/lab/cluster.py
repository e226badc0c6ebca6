"""A cluster on a lab's hosts: forming it by `swarm init` and `swarm join`, looking at it, waiting for what should come about.

Works by the docker command line alone, on anything that is a `Machine`: a host of this lab, or a virtual one. Questions go to the first
manager that answers them; one that is off, frozen or without a quorum is passed over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from examples.lab.layout import LabError
from examples.lab.processes import until

PORT = 2377
_PATIENCE = 5.0  # seconds after which a manager that does not answer is passed over


class Machine(Protocol):
    """What a cluster needs of a host."""

    @property
    def name(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def is_manager(self) -> bool: ...
    def docker(self, *arguments: str, timeout: float = ...) -> str:
        """The docker command line against the host's daemon; its output. Raises LabError where it fails."""


M = TypeVar("M", bound=Machine)


@dataclass(frozen=True)
class Node:
    """A line of `node ls`."""

    id: str
    host: str
    status: str  # Ready, Down, Unknown
    availability: str  # Active, Pause, Drain
    manager: str  # Leader, Reachable, Unreachable; "" for a worker


@dataclass(frozen=True)
class Task:
    """A line of `service ps`."""

    id: str
    name: str
    host: str
    desired: str  # Running, Shutdown, …
    state: str  # Running, Failed, …
    error: str


class Cluster(Generic[M]):
    def __init__(self, machines: Sequence[M], *, pace: float = 1.0) -> None:
        """`pace`: how much longer than usual everything may take, as on machines that are emulated."""
        self.machines = list(machines)
        self.pace = pace

    @property
    def managers(self) -> list[M]:
        return [machine for machine in self.machines if machine.is_manager]

    def form(self) -> None:
        """Make the first manager's node a cluster, and let all others join it by its tokens."""
        first, *others = self.managers
        for machine in self.machines:
            self.until(lambda at=machine: at.docker("node", "ls"), f"the manager on {machine.name} answers")  # type: ignore[misc]
        first.docker("swarm", "init", "--advertise-addr", first.ip)
        for machine in others:
            self.join(machine, first)
        for machine in self.machines:
            if not machine.is_manager:
                self.join(machine, first)
        self.until_ready()

    def join(self, machine: M, by: M | None = None) -> None:
        """Let a machine join in its role, by a manager that is a member (the first that answers, by default)."""
        role = "manager" if machine.is_manager else "worker"
        by = by or self.speaker()
        token = by.docker("swarm", "join-token", "--quiet", role).strip()
        machine.docker("swarm", "join", "--token", token, "--advertise-addr", machine.ip, f"{by.ip}:{PORT}")

    # Asking

    def ask(self, *arguments: str, timeout: float = _PATIENCE, without: Sequence[M] = ()) -> str:
        """The docker command line against the first manager that answers. Raises LabError with every manager's reason."""
        reasons = []
        for machine in self.managers:
            if machine not in without:
                try:
                    return machine.docker(*arguments, timeout=timeout * self.pace)
                except LabError as error:
                    reasons.append(f"{machine.name}: {error}")
        raise LabError("no manager answers\n" + "\n".join(reasons))

    def speaker(self) -> M:
        """The first manager that answers questions about the cluster. Raises LabError."""
        name = self.ask("info", "--format", "{{.Name}}").strip()
        return next(machine for machine in self.managers if machine.name == name)

    def nodes(self) -> list[Node]:
        lines = self._table("node", "ls")
        return [Node(v["ID"], v["Hostname"], v["Status"], v["Availability"], v["ManagerStatus"]) for v in lines]

    def leader(self) -> M:
        """Raises LabError while there is none."""
        return self._named(next((node.host for node in self.nodes() if node.manager == "Leader"), ""))

    def _named(self, host: str) -> M:
        for machine in self.machines:
            if machine.name == host:
                return machine
        raise LabError("the cluster has no leader" if not host else f"the cluster's node {host} is no host of the lab")

    def tasks(self, service: str) -> list[Task]:
        """All that are known, those of the past too."""
        lines = self._table("service", "ps", "--no-trunc", service)
        return [
            Task(v["ID"], v["Name"], v["Node"], v["DesiredState"], v["CurrentState"].partition(" ")[0], v["Error"])
            for v in lines
        ]

    def running(self, service: str) -> list[Task]:
        """Those that should run and do."""
        return [task for task in self.tasks(service) if (task.desired, task.state) == ("Running", "Running")]

    def _table(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask(*arguments, "--format", "{{json .}}").splitlines()]

    # Waiting

    def until(self, condition: Callable[[], object], what: str, *, timeout: float = 30.0) -> float:
        """Wait for a condition, which may fail with LabError meanwhile; the seconds it took. Raises LabError naming `what`."""
        started, last = time.monotonic(), ""

        def holds() -> object:
            nonlocal last
            try:
                return condition()
            except LabError as error:
                last = str(error)
                return False

        try:
            until(holds, what, timeout=timeout * self.pace, every=0.05)
        except LabError as error:
            raise LabError(f"{error}\n{last}\n{self.picture()}".rstrip()) from None
        return time.monotonic() - started

    def until_ready(self, count: int | None = None, *, timeout: float = 30.0) -> float:
        """Until so many nodes (all, by default) are Ready, every manager among them is a member, and one leads."""
        wanted = len(self.machines) if count is None else count

        def ready() -> bool:
            nodes = [node for node in self.nodes() if node.status == "Ready" and node.manager != "Unreachable"]
            return len(nodes) == wanted and any(node.manager == "Leader" for node in nodes)

        return self.until(ready, f"{wanted} nodes are ready", timeout=timeout)

    def until_running(self, service: str, count: int, *, without: Sequence[M] = (), timeout: float = 60.0) -> float:
        """Until exactly `count` tasks of the service run and are wanted, none of them on the hosts `without`."""
        names = [machine.name for machine in without]

        def running() -> bool:
            wanted = [task for task in self.tasks(service) if task.desired == "Running"]
            good = [task for task in wanted if task.state == "Running" and task.host not in names]
            return len(wanted) == len(good) == count

        return self.until(running, f"{count} tasks of {service} run", timeout=timeout)

    def picture(self) -> str:
        """Nodes, services and tasks as a manager sees them, for a reader whose wait was in vain."""
        parts = []
        for command in (("node", "ls"), ("service", "ls")):
            try:
                parts.append(self.ask(*command))
            except LabError as error:
                parts.append(str(error))
        return "\n".join(parts)
