"""The runtime's boundary: processes in namespaces, one monitor (conmon) per container, no state in the daemon.

All of a container's run-time files lie in its bundle folder, so that a new daemon recovers it from there. What a
container is for (restart policy, health, names) is worker/engine's; its root file system is worker/images'.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec


class Exit(msgspec.Struct, frozen=True):
    """How a process ended. `code` 128+n after signal n; `finished_at` from the monitor's exit file."""

    code: int
    finished_at: datetime
    oom_killed: bool = False


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What a container is created from: an OCI bundle (folder with config.json) and its standard streams."""

    id: str
    bundle: Path
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    log: Path | None = None  # file in CRI format; None: no log
    log_max_size: int = -1  # bytes of one file, -1 unlimited
    log_max_files: int = 1  # the log and its rotated files (log.1, log.2, …) together


class ExecSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A further process in a running container: an OCI process object (args, env, cwd, user, capabilities, …)."""

    id: str
    process: dict[str, Any]
    tty: bool = False
    stdin: bool = False


class Streams(Protocol):
    """An attached process's standard streams. Reading must go on: a slow reader blocks the container's output."""

    async def read(self) -> tuple[int, bytes] | None:
        """(1 stdout | 2 stderr, data), None at the end."""

    async def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def close(self) -> None: ...


class ExecHandle(Protocol):
    """A started exec: its pid on the host, its streams (None where detached), its exit code."""

    pid: int
    streams: Streams

    async def wait(self) -> int: ...

    def resize(self, height: int, width: int) -> None: ...


class Runtime(Protocol):
    async def create(self, launch: Launch) -> int:
        """Create the container (its process waits to be started); return its pid. Nothing is left behind on failure."""

    async def start(self, id: str) -> None: ...

    async def wait(self, id: str) -> Exit:
        """Wait for the container's end; returns at once where it has ended already. Any number of callers may wait."""

    def on_oom(self, id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the kernel first kills one of the container's processes for memory; the answer ends that."""

    async def kill(self, id: str, signal: int, *, all: bool = False) -> None: ...

    async def pause(self, id: str) -> None: ...

    async def resume(self, id: str) -> None: ...

    async def update(self, id: str, resources: Mapping[str, Any]) -> None:
        """Change limits of a running container; `resources` is OCI's linux.resources."""

    async def delete(self, id: str, *, force: bool = False) -> None:
        """Remove what the runtime knows of a container and its run-time files and cgroup. Idempotent."""

    async def attach(self, id: str) -> Streams: ...

    def resize(self, id: str, height: int, width: int) -> None: ...

    async def exec(self, id: str, spec: ExecSpec) -> ExecHandle: ...

    async def recover(self, id: str, bundle: Path) -> int | Exit | None:
        """After a daemon's restart: the pid of a container that still runs, its Exit, or None where it is unknown."""

    async def stats(self, id: str) -> dict[str, Any]:
        """cpu_stats, memory_stats, blkio_stats, pids_stats in Docker's shape, without networks."""

    async def pids(self, id: str) -> Sequence[int]: ...


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """A line of a log; `nanos` since the epoch."""

    nanos: int
    stream: int  # 1 stdout, 2 stderr
    data: bytes  # with its newline, where it had one

    @property
    def time(self) -> datetime:
        """The same moment, cut to microseconds."""
        seconds, rest = divmod(self.nanos, 1_000_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


class LogReader(Protocol):
    def read(
        self,
        *,
        follow: bool = False,
        tail: int = -1,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[LogLine]: ...
