"""The lab's scenario: a service, a dead leader, a dead worker, and how the cluster gets over both, live and with timings.

Runs on whatever machines a Cluster has, so on virtual ones too. A step that fails ends it with LabError.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Generic, Protocol, TypeVar

from examples.lab.cluster import Cluster, Machine
from examples.lab.layout import LabError
from examples.lab.processes import until

IMAGE = "hello:latest"
SERVICE, NEXT = "scenario-web", "scenario-next"
# The image's health check would have the first word on when a task runs, five seconds after its start.
_CREATE = ("service", "create", "--detach", "--no-resolve-image", "--no-healthcheck")
_BOLD, _PLAIN = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")


class Breakable(Machine, Protocol):
    """A machine whose power can be cut."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


B = TypeVar("B", bound=Breakable)


class Scenario(Generic[B]):
    def __init__(self, cluster: Cluster[B], replicas: int = 6) -> None:
        self.cluster = cluster
        self.replicas = replicas
        self.timings: dict[str, float] = {}

    def run(self) -> None:
        """All steps. Raises LabError at the first that fails; the services are removed in the end."""
        try:
            self.deploy()
            leader = self.kill_the_leader()
            worker = self.kill_a_worker(leader)
            self.bring_back(leader, worker)
        finally:
            self.clear()
        say("Measured")
        for what, seconds in self.timings.items():
            print(f"{seconds:7.2f} s  {what}")

    def deploy(self) -> None:
        say(f"Deploy {self.replicas} replicas")
        self.show_nodes()
        self.cluster.ask(*_CREATE, "--name", SERVICE, "--replicas", str(self.replicas), IMAGE)
        self.note("service create → all replicas run", self.cluster.until_running(SERVICE, self.replicas))
        self.show_tasks()

    def kill_the_leader(self) -> B:
        leader = self.cluster.leader()
        say(f"Cut the power of the leader, {leader.name}")
        leader.kill()
        started = time.monotonic()
        until(
            lambda: self._create_next(leader),
            "another manager acknowledges a service",
            timeout=30 * self.cluster.pace,
            every=0.02,
        )
        self.note("leader dead → next service create acknowledged", time.monotonic() - started)
        self.cluster.until_running(NEXT, 1, without=[leader])
        print(f"{self.cluster.leader().name} leads now, and the new service runs")
        self.cluster.until_running(SERVICE, self.replicas, without=[leader])
        self.note("leader dead → its tasks run elsewhere", time.monotonic() - started)
        self.show_tasks()
        return leader

    def _create_next(self, dead: B) -> bool:
        """A name that is taken is an acknowledgement too: of an earlier attempt that was given up."""
        try:
            self.cluster.ask(*_CREATE, "--name", NEXT, IMAGE, timeout=2, without=[dead])
        except LabError as error:
            return "already" in str(error) or "conflicts" in str(error)
        return True

    def kill_a_worker(self, *dead: B) -> B:
        busy = Counter(task.host for task in self.cluster.running(SERVICE))
        workers = [machine for machine in self.cluster.machines if not machine.is_manager]
        if not workers:
            raise LabError("there is no worker in this lab that could be killed")
        victim = max(workers, key=lambda machine: busy[machine.name])
        say(f"Cut the power of {victim.name}, which runs {busy[victim.name]} of the tasks")
        victim.kill()
        seconds = self.cluster.until_running(SERVICE, self.replicas, without=[*dead, victim])
        self.note("worker dead → its tasks run elsewhere", seconds)
        self.show_nodes()
        self.show_tasks()
        return victim

    def bring_back(self, *dead: B) -> None:
        say(f"Boot {' and '.join(machine.name for machine in dead)} again")
        started = time.monotonic()
        for machine in dead:
            machine.start()
        self.cluster.until_ready(timeout=60)
        self.cluster.until_running(SERVICE, self.replicas)
        self.note("switched on → all nodes are ready again, the service is whole", time.monotonic() - started)
        self.show_nodes()

    def clear(self) -> None:
        for service in (SERVICE, NEXT):
            try:
                self.cluster.ask("service", "rm", service)
            except LabError:
                continue

    def note(self, what: str, seconds: float) -> None:
        self.timings[what] = seconds
        print(f"{_BOLD}{seconds:.2f} s{_PLAIN}: {what}")

    def show_nodes(self) -> None:
        for node in self.cluster.nodes():
            print(f"  {node.host:10} {node.status:8} {node.manager}")

    def show_tasks(self) -> None:
        places = Counter(task.host for task in self.cluster.running(SERVICE))
        print("  " + "  ".join(f"{host}: {count}" for host, count in sorted(places.items())))


def say(text: str) -> None:
    print(f"\n{_BOLD}» {text}{_PLAIN}", flush=True)
