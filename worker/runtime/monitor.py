"""Starting conmon, the monitor of one process: its command line, its environment and what it says on the sync pipe.

conmon forks twice and lives on by itself: it is no child of the daemon, and nothing here ever kills it on shutdown.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import ShoalError, Unavailable
from common.settings import Settings
from worker.runtime.base import Launch
from worker.runtime.faults import CREATE, explain
from worker.runtime.layout import Layout
from worker.runtime.oci import OciRuntime
from worker.runtime.process import readable, run, version

SYNC_TIMEOUT = 60.0  # seconds until a runtime that says nothing counts as stuck


class Monitors:
    """Makes conmon processes. `start_up()` first."""

    def __init__(self, settings: Settings, runtime: OciRuntime) -> None:
        self._wanted = settings.conmon
        self._binary = settings.conmon
        self._runtime = runtime

    async def start_up(self) -> None:
        """Raises Unavailable where conmon cannot be run."""
        found = shutil.which(self._wanted)
        if found is None:
            raise Unavailable(f"no {self._wanted!r} on this machine: install conmon or set --conmon")
        if "conmon" not in await version(found):
            raise Unavailable(f"{found} is no conmon: it does not answer --version; choose another by --conmon")
        self._binary = found

    def argv(self, id: str, layout: Layout, log: Path | None, *, tty: bool, stdin: bool) -> list[str]:
        """What a container and an exec have in common; `id` is the container's."""
        argv = [self._binary, "--api-version", "1", "--cid", id, "--cuuid", id, "--name", id, "--full-attach"]
        argv += ["--runtime", str(self._runtime.binary), "--bundle", str(layout.folder)]
        argv += ["--socket-dir-path", str(layout.folder), "--exit-dir", str(layout.exit_folder)]
        argv += ["--container-pidfile", str(layout.pid_file), "--conmon-pidfile", str(layout.monitor_pid_file)]
        argv += ["--log-path", f"k8s-file:{log}" if log else "none", "--no-sync-log", "--log-level", "error"]
        for argument in self._runtime.global_args:
            argv += ["--runtime-arg", argument]
        return argv + ["--terminal"] * tty + ["--stdin"] * stdin

    async def create(self, launch: Launch, layout: Layout) -> int:
        """Start the monitor of a new container, whose process waits to be started; return that one's pid."""
        argv = self.argv(launch.id, layout, launch.log, tty=launch.tty, stdin=launch.stdin)
        argv += ["--persist-dir", str(layout.oom_folder)]
        if launch.log is not None and launch.log_max_size > 0:
            argv += ["--log-size-max", str(launch.log_max_size)]
        if launch.stdin and (launch.tty or not launch.stdin_once):
            argv.append("--leave-stdin-open")
        with SyncPipe() as sync:
            await self.spawn(argv, {"_OCI_SYNCPIPE": sync.inner}, layout.folder)
            sync.close_inner()
            return pid_of(await sync.line())

    async def spawn(self, argv: Sequence[str], pipes: dict[str, int], folder: Path) -> None:
        """Start conmon, which inherits `pipes` by the names of its environment variables; return when it is on its own.

        It drops files of its own (`oom`) where it stands: in `folder`.
        """
        environment = {"PATH": os.environ.get("PATH", os.defpath)} | {name: str(fd) for name, fd in pipes.items()}
        result = await run(argv, env=environment, pass_fds=tuple(pipes.values()), cwd=folder)
        if result.code:
            raise ShoalError(f"conmon failed ({result.code}): {result.stderr.decode(errors='replace').strip()}")


class SyncPipe:
    """A pipe on which conmon writes JSON lines; two may arrive at once. `inner` is conmon's end."""

    def __init__(self) -> None:
        self._outer, self.inner = os.pipe()
        self._open_inner = True
        self._data = b""
        os.set_blocking(self._outer, False)

    def __enter__(self) -> SyncPipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def line(self, timeout: float | None = SYNC_TIMEOUT) -> dict[str, Any]:
        """The next line. Raises ShoalError where conmon ends or takes too long."""
        try:
            async with asyncio.timeout(timeout):
                while b"\n" not in self._data:
                    await self._more()
        except TimeoutError:
            raise ShoalError(f"the container's monitor said nothing for {timeout} s") from None
        line, _, self._data = self._data.partition(b"\n")
        value: dict[str, Any] = json.loads(line)
        return value

    async def _more(self) -> None:
        await readable(self._outer)
        data = os.read(self._outer, 8192)
        if not data:
            raise ShoalError("the container's monitor ended without an answer")
        self._data += data

    def close_inner(self) -> None:
        if self._open_inner:
            self._open_inner = False
            os.close(self.inner)

    def close(self) -> None:
        self.close_inner()
        os.close(self._outer)


def pid_of(line: dict[str, Any], failure: str = CREATE) -> int:
    """The pid that conmon reports. Raises what its message means where it reports a failure."""
    pid = int(line.get("data", line.get("pid", -1)))
    if pid <= 0:
        raise explain(str(line.get("message", "")), failure)
    return pid
