"""A further process in a running container: started through a conmon of its own, in a folder below the bundle."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable

from worker.runtime.base import ExecSpec, Streams
from worker.runtime.faults import EXEC
from worker.runtime.layout import Layout
from worker.runtime.monitor import Monitors, SyncPipe, pid_of
from worker.runtime.process import ended, on_end
from worker.runtime.streams import AttachSocket


class ExecProcess:
    """A started exec; `streams` were connected before its first byte. After `wait()` nothing of it is left."""

    def __init__(self, pid: int, streams: Streams, layout: Layout) -> None:
        self.pid = pid
        self.streams = streams
        self._layout = layout

    async def wait(self) -> int:
        if monitor := self._layout.monitor():
            await ended(monitor)
        return self._collect()

    def on_exit(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the exit code when the process has ended, without a task that waits."""
        on_end(self._layout.monitor(), lambda: callback(self._collect()))

    def _collect(self) -> int:
        """The exit code; 137 where the container was torn down around the process, and nobody could write one."""
        exit = self._layout.ended()
        shutil.rmtree(self._layout.folder, ignore_errors=True)
        return exit.code if exit else 128 + signal.SIGKILL

    def resize(self, height: int, width: int) -> None:
        self._layout.resize(height, width)


async def start_exec(monitors: Monitors, container: Layout, spec: ExecSpec) -> ExecProcess:
    """Start `spec` in the container. Raises what the runtime said (StartFailed for a program that is not there)."""
    layout = Layout(container.id, container.execs / spec.id)
    layout.prepare()
    try:
        return await _start(monitors, layout, spec)
    except BaseException:
        shutil.rmtree(layout.folder, ignore_errors=True)
        raise


async def _start(monitors: Monitors, layout: Layout, spec: ExecSpec) -> ExecProcess:
    process = layout.folder / "process.json"
    process.write_text(json.dumps(spec.process))
    argv = monitors.argv(layout.id, layout, None, tty=spec.tty, stdin=spec.stdin)
    argv += ["--exec", "--exec-attach", "--exec-process-spec", str(process)]
    with SyncPipe() as sync, SyncPipe() as attach:
        go, write_go = os.pipe()
        try:
            os.write(write_go, b"\0")  # conmon may fork
            pipes = {"_OCI_SYNCPIPE": sync.inner, "_OCI_ATTACHPIPE": attach.inner, "_OCI_STARTPIPE": go}
            await monitors.spawn(argv, pipes, layout.folder)
            sync.close_inner()
            attach.close_inner()
            await attach.line()
            streams = await AttachSocket.open(layout.attach_socket)
            os.write(write_go, b"\0")  # the process may start
        finally:
            os.close(go)
            os.close(write_go)
        try:
            return ExecProcess(pid_of(await sync.line(), EXEC), streams, layout)
        except BaseException:
            streams.close()
            raise
