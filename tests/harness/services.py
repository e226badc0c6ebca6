"""Services of one daemon as tests look at them: by the docker command line and docker-py, waiting for what must come about."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.daemon import Daemon
from tests.harness.machine import Snapshot
from tests.harness.wait import until

IMAGE = "busybox:latest"
SLEEP = ("sleep", "100000")
WEB = ("sh", "-c", "mkdir /www; hostname >/www/index.html; exec httpd -f -p 80 -h /www")  # answers with its own name
QUICK = ("--stop-signal", "KILL", "--restart-delay", "0s")

Task = dict[str, Any]


class Services:
    """What is asked of one daemon's services. Names are services' names."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.api = daemon.client().api

    def close(self) -> None:
        self.api.close()

    def create(self, name: str, *options: str, command: tuple[str, ...] = SLEEP) -> str:
        """`docker service create`, without waiting; its id."""
        words = ("service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", name, *QUICK)
        return self.daemon.docker(*words, *options, IMAGE, *command).strip()

    def update(self, name: str, *options: str) -> None:
        self.daemon.docker("service", "update", "--detach", "--quiet", "--no-resolve-image", *options, name)

    def remove(self, name: str) -> None:
        """Remove the service and wait until its containers are gone."""
        self.daemon.docker("service", "rm", name, check=False)
        until(lambda: not self.containers(name, all=True), f"the containers of {name} are gone")

    @contextmanager
    def service(self, name: str, *options: str, command: tuple[str, ...] = SLEEP) -> Iterator[str]:
        """A service for the length of a block; its id."""
        id = self.create(name, *options, command=command)
        try:
            yield id
        finally:
            self.remove(name)

    def leftovers(self, before: Snapshot) -> list[str]:
        """What has come since, but for the bridge of the ingress network, which stays once it was needed."""
        ingress = self.api.networks(names=["ingress"])[0]["Id"]
        found = before.differences(self.daemon.snapshot())
        return [line for line in found if line != f"links: new br-{ingress[:12]}"]

    def remove_all(self) -> None:
        for service in self.api.services():
            self.remove(service["Spec"]["Name"])

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.inspect_service(name)
        return found

    def tasks(self, name: str) -> list[Task]:
        """Newest first."""
        found: list[Task] = self.api.tasks(filters={"service": name})
        return sorted(found, key=lambda task: str(task["CreatedAt"]), reverse=True)

    def running(self, name: str) -> list[Task]:
        return [
            task
            for task in self.tasks(name)
            if task["Status"]["State"] == "running" and task["DesiredState"] == "running"
        ]

    def containers(self, name: str, *, all: bool = False) -> list[dict[str, Any]]:
        label = f"com.docker.swarm.service.name={name}"
        found: list[dict[str, Any]] = self.api.containers(all=all, filters={"label": [label]})
        return found

    def until_running(
        self, name: str, count: int, which: Callable[[Task], bool] = lambda task: True, *, timeout: float = 60
    ) -> list[Task]:
        """Wait until exactly `count` tasks are wanted and run, all of them `which`; those tasks."""

        def settled() -> list[Task] | None:
            wanted = [task for task in self.tasks(name) if task["DesiredState"] == "running"]
            running = [task for task in wanted if task["Status"]["State"] == "running" and which(task)]
            return running if len(running) == len(wanted) == count else None

        try:
            return until(settled, f"{count} tasks of {name} run", timeout=timeout) or []
        except AssertionError as error:
            shown = self.daemon.docker("service", "ps", "--no-trunc", name, check=False)
            raise AssertionError(f"{error}\n{shown}\n{self.daemon.tail()}") from None

    def until_update(self, name: str, state: str, *, timeout: float = 60) -> dict[str, Any]:
        """Wait for the state of the service's update; its UpdateStatus."""

        def reached() -> dict[str, Any] | None:
            status: dict[str, Any] = self.inspect(name).get("UpdateStatus") or {}
            return status if status.get("State") == state else None

        return until(reached, f"the update of {name} is {state}", timeout=timeout) or {}

    def environment(self, task: Task) -> list[str]:
        env: list[str] = task["Spec"]["ContainerSpec"].get("Env", [])
        return env

    def exec(self, task: Task, *command: str) -> str:
        """Run a command in the task's container; its output."""
        return self.daemon.docker("exec", task["Status"]["ContainerStatus"]["ContainerID"], *command)

    @contextmanager
    def client(self, *arguments: str) -> Iterator[Callable[[], str]]:
        """The docker command line as long as the block lasts; call what it yields for all output so far."""
        with tempfile.NamedTemporaryFile("w+") as output:
            process = subprocess.Popen(["docker", "-H", self.daemon.url, *arguments], stdout=output)
            try:
                yield Path(output.name).read_text
            finally:
                process.kill()
                process.wait()

    def resolve(self, task: Task, name: str) -> set[str]:
        """IPv4 addresses by the task's own DNS. (Only nslookup can: a static busybox's other applets cannot resolve.)"""
        container = task["Status"]["ContainerStatus"]["ContainerID"]
        answer = self.daemon.docker("exec", container, "nslookup", "-type=a", name, check=False).partition("Name:")[2]
        return set(re.findall(r"Address[^:]*: *(\d+\.\d+\.\d+\.\d+)", answer))

    def fetch(self, port: int, host: str = "127.0.0.1") -> str:
        """GET / from the daemon's own namespace; "" where nothing answers."""
        command = self.daemon.inside("curl", "-sS", "--max-time", "3", f"http://{host}:{port}/")
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
