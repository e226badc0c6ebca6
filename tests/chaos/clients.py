"""Clients that create, swap, scale, read and remove services and secrets through random managers, and note down what they were told.

What an object is at any time is told by its mark, a label that every write sets to something new.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from examples.lab.host import Host
from examples.lab.layout import LabError
from tests.chaos.history import Kind, Operation
from tests.harness.services import IMAGE, SLEEP

ANSWER = 6.0  # seconds that a client waits for an answer
LIVES = 40  # operations on one name, after which another one is used
_DEFINITE = (400, 404, 409)


class NotSent(Exception):
    """Nobody took the request: it certainly did nothing."""


class Lost(Exception):
    """The request may have been carried out or not, or will be."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError as error:
            self.sock.close()
            raise NotSent(str(error)) from None


def call(host: Host, method: str, path: str, body: Any = None, *, timeout: float = ANSWER) -> tuple[int, Any]:
    """(status, answer) of one request to a host's API. Raises NotSent, Lost."""
    try:
        socket_path = host.url.removeprefix("unix://")
    except LabError as error:
        raise NotSent(str(error)) from None
    connection = _Connection(socket_path, timeout)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, f"/v1.44{path}", data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Lost(repr(error)) from None
    finally:
        connection.close()


class Seen(msgspec.Struct, frozen=True):
    """A read's find."""

    id: str
    version: int
    spec: dict[str, Any]

    @property
    def mark(self) -> str:
        return str(self.spec["Labels"]["mark"])


class Record:
    """What all clients did, by object. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: dict[str, list[Operation]] = defaultdict(list)

    def add(self, key: str, operation: Operation) -> None:
        with self._lock:
            self._operations[key].append(operation)

    def operations(self) -> dict[str, list[Operation]]:
        with self._lock:
            return {key: [*operations] for key, operations in self._operations.items()}


class Client:
    """One client. `sight` is shown every object that it reads: (id, version, spec, begun, ended)."""

    def __init__(
        self, number: int, seed: int, managers: list[Host], record: Record, sight: Callable[[Seen, float, float], None]
    ) -> None:
        self._number = number
        self._rng = random.Random(f"{seed}/{number}")
        self._managers = managers
        self._record = record
        self._sight = sight
        self._marks = 0
        self.outcomes: dict[str, int] = defaultdict(int)

    def run(self, go_on: Callable[[], bool], pause: float) -> None:
        while go_on():
            self.once()
            time.sleep(self._rng.uniform(0, 2 * pause))

    def once(self) -> None:
        """A look at one object, and mostly a write to it, each through any manager."""
        kind, most = self._rng.choice([("services", 3), ("services", 3), ("secrets", 3)])
        name = f"{kind}-{self._rng.randrange(most)}"
        key = f"{name}-{self._life(name)}"
        seen = self.read(self._rng.choice(self._managers), kind, key)
        manager = self._rng.choice(self._managers)
        if isinstance(seen, Lost):
            self.outcomes["not seen"] += 1
            return
        what = self._rng.random()
        if seen is None:
            self._write("create", manager, kind, key, f"/{kind}/create", self._spec(kind, key))
        elif what < 0.1:
            self._write("remove", manager, kind, key, f"/{kind}/{key}", None)
        elif what < 0.75:
            self._swap(manager, kind, key, seen)

    def _life(self, name: str) -> int:
        """How often the name was used up: histories of one object stay short enough to judge."""
        life = 0
        while len(self._record.operations().get(f"{name}-{life}", ())) >= LIVES:
            life += 1
        return life

    def read(self, manager: Host, kind: str, key: str) -> Seen | Lost | None:
        """What is there now, noted down; None for nothing."""
        begun = time.monotonic()
        try:
            status, answer = call(manager, "GET", f"/{kind}/{key}")
        except (NotSent, Lost) as error:
            return Lost(str(error))
        ended = time.monotonic()
        if status not in (200, 404):
            return Lost(str(answer))
        seen = Seen(answer["ID"], answer["Version"]["Index"], answer["Spec"]) if status == 200 else None
        mark = seen.mark if seen else None
        self._record.add(key, Operation("read", begun, ended, mark, by=f"{self._number} {manager.name}"))
        if seen:
            self._sight(seen, begun, ended)
        return seen

    def _swap(self, manager: Host, kind: str, key: str, seen: Seen) -> None:
        spec = seen.spec | {"Labels": {"mark": self._mark()}}
        if kind == "services" and self._rng.random() < 0.15:
            spec["Mode"] = {"Replicated": {"Replicas": self._rng.randrange(4)}}
        if kind == "services" and self._rng.random() < 0.08:
            task = spec["TaskTemplate"]
            container = task["ContainerSpec"] | {"Env": [f"N={self._marks}"]}
            spec["TaskTemplate"] = task | {"ContainerSpec": container}
        path = f"/{kind}/{seen.id}/update?version={seen.version}"
        self._write("swap", manager, kind, key, path, spec, of=seen.mark)

    def _write(
        self,
        what: Kind,
        manager: Host,
        kind: str,
        key: str,
        path: str,
        spec: dict[str, Any] | None,
        of: str | None = None,
    ) -> None:
        begun = time.monotonic()
        mark = spec["Labels"]["mark"] if spec else None
        method = "DELETE" if what == "remove" else "POST"
        by = f"{self._number} {manager.name}"
        said = ""
        try:
            status, answer = call(manager, method, path, spec)
        except NotSent:
            self.outcomes["not sent"] += 1
            return
        except Lost as error:
            status, said = 0, str(error)
        else:
            said = str(answer)
        operation = Operation(what, begun, time.monotonic(), mark, of, by=by)
        if status in _DEFINITE:
            assert status != 400, f"{method} {path}: {said}"
            operation = msgspec.structs.replace(operation, outcome="refused")
        elif not 200 <= status < 300:
            operation = msgspec.structs.replace(operation, outcome="unknown", ended=float("inf"))
        self.outcomes[operation.outcome] += 1
        self._record.add(key, operation)

    def _mark(self) -> str:
        self._marks += 1
        return f"c{self._number}-{self._marks}"

    def _spec(self, kind: str, name: str) -> dict[str, Any]:
        labels = {"mark": self._mark()}
        if kind == "secrets":
            return {"Name": name, "Labels": labels, "Data": base64.b64encode(b"secret").decode()}
        return {
            "Name": name,
            "Labels": labels,
            "TaskTemplate": {
                "ContainerSpec": {"Image": IMAGE, "Command": [*SLEEP], "StopSignal": "KILL"},
                "RestartPolicy": {"Condition": "any", "Delay": 500_000_000},
            },
            "Mode": {"Replicated": {"Replicas": self._rng.randrange(1, 4)}},
            "UpdateConfig": {"Parallelism": 0, "Order": self._rng.choice(["stop-first", "start-first"])},
        }
