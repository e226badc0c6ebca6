"""Execs: further processes in running containers, from their creation until some time after their end.

They live in memory: a daemon that comes back knows nothing of its predecessor's execs, as in Docker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from common.errors import Conflict, InvalidArgument, NotFound, ShoalError
from common.ids import hex_id
from worker.engine.container import Container
from worker.engine.events import EventBus
from worker.engine.execspec import ExecWish, process
from worker.engine.ulimits import tighten
from worker.runtime.base import ExecSpec, Streams
from worker.runtime.conmon import ConmonRuntime
from worker.runtime.execs import ExecProcess
from worker.runtime.faults import StartFailed

KEPT = 300.0  # seconds that an ended exec can still be inspected


@dataclass(eq=False)
class Exec:
    """One exec. `exit_code` is None until it has ended; `handle` until it has started."""

    id: str
    container: Container
    wish: ExecWish
    starting: bool = False
    handle: ExecProcess | None = None
    exit_code: int | None = None
    ended_at: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)  # set once the exit code is known

    @property
    def running(self) -> bool:
        return self.handle is not None and self.exit_code is None

    def forgettable(self, limit: float) -> bool:
        """It ended before `limit` (monotonic seconds), or can never start any more."""
        if self.exit_code is not None:
            return self.ended_at < limit
        return not self.starting and not self.container.running

    def inspect(self) -> dict[str, Any]:
        """As GET /exec/{id}/json shows it."""
        wish = self.wish
        return {
            "ID": self.id,
            "Running": self.running,
            "ExitCode": self.exit_code,
            "ProcessConfig": {
                "tty": wish.tty,
                "entrypoint": wish.cmd[0],
                "arguments": wish.cmd[1:],
                "privileged": wish.privileged,
                "user": wish.user,
            },
            "OpenStdin": wish.attach_stdin,
            "OpenStderr": wish.attach_stderr,
            "OpenStdout": wish.attach_stdout,
            "CanRemove": self.exit_code is not None,
            "ContainerID": self.container.id,
            "DetachKeys": wish.detach_keys,
            "Pid": self.handle.pid if self.handle else 0,
        }


class Execs:
    """All execs of a node."""

    def __init__(self, runtime: ConmonRuntime, events: EventBus) -> None:
        self._runtime = runtime
        self._events = events
        self._all: dict[str, Exec] = {}

    def create(self, container: Container, wish: ExecWish) -> Exec:
        """Raises InvalidArgument without a command, Conflict where the container cannot run one."""
        if not wish.cmd:
            raise InvalidArgument("No exec command specified")
        _check_active(container)
        self._forget_old()
        made = Exec(hex_id(), container, wish)
        self._all[made.id] = made
        self._publish(made, f"exec_create: {' '.join(wish.cmd)}")
        return made

    def get(self, id: str) -> Exec:
        try:
            return self._all[id]
        except KeyError:
            raise NotFound(f"No such exec instance: {id}", ("exec", id)) from None

    def of(self, container: Container) -> Iterator[Exec]:
        """The execs of one container that have not ended (GET /containers/{id}/json lists them)."""
        return (e for e in self._all.values() if e.container is container and e.exit_code is None)

    def claim(self, id: str) -> Exec:
        """The exec that is to be started now. Raises NotFound, Conflict where it was started before."""
        claimed = self.get(id)
        if claimed.exit_code is not None:
            raise Conflict(f"Error: Exec command {id} has already run", ("exec", id))
        if claimed.starting:
            raise Conflict(f"Error: Exec command {id} is already running", ("exec", id))
        _check_active(claimed.container)
        claimed.starting = True
        return claimed

    async def start(self, claimed: Exec, console_size: list[int] | None = None) -> Streams:
        """Start it; return its streams, which the caller closes. A failed start is its end, with Docker's exit code."""
        wish = (
            claimed.wish if console_size is None else msgspec.structs.replace(claimed.wish, console_size=console_size)
        )
        try:
            spec = ExecSpec(
                id=claimed.id, process=process(claimed.container, wish), tty=wish.tty, stdin=wish.attach_stdin
            )
            handle = await self._runtime.exec(claimed.container.id, spec)
        except ShoalError as error:
            self._ended(claimed, error.exit_code if isinstance(error, StartFailed) else 126)
            raise
        tighten(handle.pid, claimed.container.host.ulimits)
        if wish.tty and wish.console_size:
            handle.resize(*wish.console_size)  # not every runtime heeds the size in an exec's description
        claimed.handle = handle
        self._publish(claimed, f"exec_start: {' '.join(wish.cmd)}")
        handle.on_exit(lambda code: self._died(claimed, code))
        return handle.streams

    def resize(self, id: str, height: int, width: int) -> None:
        """Raises Conflict where it does not run."""
        found = self.get(id)
        if found.handle is None or not found.running:
            raise Conflict(f"exec {id} is not running", ("exec", id))
        found.handle.resize(height, width)

    def detached(self, left: Exec) -> None:
        """A client typed the detach keys."""
        self._publish(left, "exec_detach")

    def _died(self, dead: Exec, code: int) -> None:
        self._ended(dead, code)
        self._publish(dead, "exec_die", exitCode=str(code))

    def _ended(self, over: Exec, code: int) -> None:
        over.exit_code = code
        over.ended_at = time.monotonic()
        over.over.set()

    def _forget_old(self) -> None:
        limit = time.monotonic() - KEPT
        self._all = {id: kept for id, kept in self._all.items() if not kept.forgettable(limit)}

    def _publish(self, about: Exec, action: str, **attributes: str) -> None:
        container = about.container
        attributes = container.attributes | {"execID": about.id} | attributes
        self._events.publish("container", action, container.id, attributes)


def _check_active(container: Container) -> None:
    if container.restarting:
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if container.paused:
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
    if not container.running:
        raise Conflict(f"container {container.id} is not running", ("container", container.id))
