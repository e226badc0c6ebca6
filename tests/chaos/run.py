"""One run: a cluster, clients and faults for a time, then everything healed, and what must hold then."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from examples.lab.host import Host
from examples.lab.layout import LabError
from tests.chaos.clients import Client, Lost, NotSent, Record, call
from tests.chaos.faults import Faults
from tests.chaos.history import Operation, explain
from tests.chaos.leftovers import complaints, containers, look
from tests.chaos.schedule import schedule
from tests.chaos.watcher import Versions, Watcher, slots
from tests.harness.lab import Formed, lab
from tests.harness.services import SLEEP

CLIENTS = 6
PAUSE = 0.2  # seconds between two operations of a client, on average
SETTLED = (
    30.0  # seconds after the heal in which every service reaches its desired state, on a machine that is not loaded
)
Say = Callable[[str], None]


def chaos(seed: int, seconds: float, logs: Path | None = None) -> None:
    """Raises AssertionError or LabError with what is wrong; then `logs` (a folder) gets every host's log and what was said."""
    said: list[str] = []
    started = time.monotonic()

    def say(text: str) -> None:
        said.append(f"{time.monotonic() - started:7.2f} {text}")
        print(said[-1], flush=True, file=sys.stderr)

    with lab(managers=3, workers=2, clocks=True) as made:
        try:
            _Run(made, seed, seconds, say).run()
        except BaseException as error:
            say(f"seed {seed} failed: {error}")
            if logs is not None:
                _keep(made, logs, said)
            raise


def _keep(made: Formed, logs: Path, said: list[str]) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "run.log").write_text("\n".join(said))
    for host in made.hosts:
        if host.log.exists():
            shutil.copy(host.log, logs / f"{host.name}.log")
    print(f"logs: {logs}", file=sys.stderr)


class _Run:
    def __init__(self, made: Formed, seed: int, seconds: float, say: Say) -> None:
        self._made, self._seed, self._seconds, self._say = made, seed, seconds, say
        self._record, self._versions = Record(), Versions()
        self._watcher = Watcher(made.managers, self._versions)
        self._over = threading.Event()

    def run(self) -> None:
        names = [[host.name for host in hosts] for hosts in (self._made.managers, self._made.workers)]
        faults = schedule(self._seed, self._seconds, *names)
        for fault in faults:
            self._say(f"seed {self._seed}: {fault}")
        before = self._baseline()
        breaker = Faults(self._made, self._say)
        with self._clients():
            breaker.play(faults, lambda: not self._over.is_set())
            self._say("heal")
            breaker.heal()
            healed = time.monotonic()
        self._settle(healed)
        self._judge()
        self._clean(before)

    def _baseline(self) -> dict[str, set[str]]:
        """What each host holds once it ran a container and runs none any more."""
        cluster = self._made.cluster
        create = ("service", "create", "--detach", "--no-resolve-image", "--stop-signal", "KILL", "--mode", "global")
        cluster.ask(*create, "--name", "first", "busybox", *SLEEP)
        cluster.until_running("first", len(self._made.hosts))
        cluster.ask("service", "rm", "first")
        for host in self._made.hosts:
            cluster.until(lambda at=host: not containers(at), f"no container is left on {host.name}")  # type: ignore[misc]
        return {host.name: look(host) for host in self._made.hosts}

    @contextlib.contextmanager
    def _clients(self) -> Iterator[None]:
        """Clients and the watcher at work; they go on for a moment after the block. Raises what they raise."""
        clients = [
            Client(n, self._seed, self._made.managers, self._record, self._versions.sight) for n in range(CLIENTS)
        ]
        with ThreadPoolExecutor(CLIENTS + 1) as pool:

            def go_on() -> bool:
                return not self._over.is_set()

            works = [pool.submit(client.run, go_on, PAUSE) for client in clients]
            works.append(pool.submit(self._watcher.run, go_on))
            for work in works:
                work.add_done_callback(lambda done: self._over.set() if done.exception() else None)
            try:
                yield
            finally:
                self._over.set()
            for work in works:
                work.result()
        total = sum((Counter(client.outcomes) for client in clients), Counter[str]())
        self._say(f"writes: {dict(total)}, looks: {self._watcher.looks}, versions seen: {self._versions.count}")

    def _settle(self, healed: float) -> None:
        """Every node is ready, and every service is as wanted."""
        allowed = SETTLED * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        cluster = self._made.cluster
        cluster.until_ready(timeout=max(1.0, healed + allowed - time.monotonic()))
        self._say(f"all nodes are ready {time.monotonic() - healed:.1f} s after the heal")
        last: list[str] = []

        def settled() -> bool:
            last[:] = self._unsettled()
            return not last

        try:
            cluster.until(settled, "every service is as wanted", timeout=max(1.0, healed + allowed - time.monotonic()))
        except LabError as error:
            raise AssertionError(f"{error}\n" + "\n".join(last)) from None
        self._say(f"all services are as wanted {time.monotonic() - healed:.1f} s after the heal")
        for host in self._made.hosts:
            cluster.until(lambda at=host: not self._surplus(at), f"{host.name} runs what it should, and nothing else")  # type: ignore[misc]
        self._say(f"all duplicates have ended {time.monotonic() - healed:.1f} s after the heal")

    def _unsettled(self) -> list[str]:
        """What each manager says that is not as wanted yet."""
        found = []
        for manager in self._made.managers:
            try:
                (_, services), (_, tasks) = (call(manager, "GET", path) for path in ("/services", "/tasks"))
            except (NotSent, Lost) as error:
                return [f"{manager.name}: {error}"]
            for service in services:
                wanted = service["Spec"]["Mode"]["Replicated"].get("Replicas", 1)
                mine = [
                    t for t in tasks if t["ServiceID"] == service["ID"] and t["DesiredState"] in ("ready", "running")
                ]
                running = [t for t in mine if t["Status"]["State"] == t["DesiredState"] == "running"]
                if not len(mine) == len(running) == wanted:
                    states = [
                        (t["Slot"], t["DesiredState"], t["Status"]["State"], t["Status"].get("Err")) for t in mine
                    ]
                    found.append(f"{manager.name}: {service['Spec']['Name']} wants {wanted} tasks, has {states}")
            found += slots(services, tasks)
        return found

    def _surplus(self, host: Host) -> list[str]:
        """Differences between the containers that run on a host and the tasks that should."""
        id = host.docker("info", "--format", "{{.Swarm.NodeID}}").strip()
        _, tasks = call(self._made.managers[0], "GET", "/tasks")
        wanted = {
            t["Status"]["ContainerStatus"]["ContainerID"]
            for t in tasks
            if t.get("NodeID") == id and t["DesiredState"] == t["Status"]["State"] == "running"
        }
        return sorted(wanted ^ set(host.docker("ps", "--quiet", "--no-trunc").split()))

    def _judge(self) -> None:
        """What was recorded: no acknowledged write is lost, reads are of their time. Every manager is asked once more."""
        reader = Client(CLIENTS, self._seed, self._made.managers, self._record, self._versions.sight)
        for key in self._record.operations():
            for manager in self._made.managers:
                found = reader.read(manager, key.partition("-")[0], key)
                assert not isinstance(found, Lost), f"{manager.name} does not answer: {found}"
        wrong = [*self._versions.wrong, *self._watcher.wrong]
        for key, operations in self._record.operations().items():
            if (beginning := explain(operations)) is not None:
                wrong.append(_story(key, operations, beginning))
        wrong += [f"{host.name}: {line}" for host in self._made.hosts for line in complaints(host)]
        assert not wrong, "\n".join(wrong[:10])
        assert self._watcher.looks, "the watcher has seen nothing"
        self._say(f"{sum(map(len, self._record.operations().values()))} operations have an order")

    def _clean(self, before: dict[str, set[str]]) -> None:
        """Once all is removed, nothing is left on any host that was not there at the beginning."""
        cluster = self._made.cluster
        for kind in ("service", "secret"):
            if names := cluster.ask(kind, "ls", "--quiet").split():
                cluster.ask(kind, "rm", *names)
        for host in self._made.hosts:
            left: list[str] = []

            def clean(at: Host = host, left: list[str] = left) -> bool:
                left[:] = [f"container {id}" for id in containers(at)] or sorted(look(at) - before[at.name])
                return not left

            try:
                cluster.until(clean, f"{host.name} is clean")
            except LabError as error:
                raise AssertionError("\n".join([f"{host.name} is not clean:", *left, str(error)])) from None
        self._say("all hosts are clean")


def _story(key: str, operations: list[Operation], beginning: list[Operation]) -> str:
    """A history without an order, for a reader."""
    first = min(operation.begun for operation in operations)
    lines = [f"{key}: no order explains what clients were told; the longest one takes those marked"]
    for o in sorted(operations, key=lambda o: o.begun):
        taken = "*" if o in beginning else " "
        of = f" of {o.of}" if o.of else ""
        lines.append(
            f" {taken} {o.begun - first:7.3f} {o.ended - first:7.3f} {o.kind} {o.mark}{of} {o.outcome} ({o.by})"
        )
    return "\n".join(lines)
