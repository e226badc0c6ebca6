"""The runtime: containers by conmon and an OCI runtime (crun by default).

Holds nothing that a new daemon could not find again: a container's truth is its bundle folder (layout.py), its monitor
and its control group. Logs' rotation is rotation.py's; what a container is for is worker/engine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal as signals
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import Conflict, NotFound, ShoalError
from common.settings import Settings
from worker.runtime.base import ExecSpec, Exit, Launch
from worker.runtime.cgroup_stats import stats
from worker.runtime.cgroups import Cgroup
from worker.runtime.execs import ExecProcess, start_exec
from worker.runtime.inotify import Inotify
from worker.runtime.layout import Layout
from worker.runtime.logs import ContainerLog
from worker.runtime.monitor import Monitors
from worker.runtime.oci import OciRuntime
from worker.runtime.process import ended
from worker.runtime.rotation import Rotator
from worker.runtime.seccomp_cache import SeccompCache
from worker.runtime.streams import AttachSocket

_CLEANUP_TRIES = 200  # of 10 ms each, until the last processes have left a control group


class ConmonRuntime:
    """Implements worker.runtime.base.Runtime. `start_up()` before anything else; `close()` touches no container."""

    def __init__(self, settings: Settings) -> None:
        self.oci = OciRuntime(settings)
        self.seccomp = SeccompCache(settings, self.oci)
        self.monitors = Monitors(settings, self.oci)
        self._inotify = Inotify()
        self._rotator = Rotator(self._inotify)
        self._bundles: dict[str, Layout] = {}
        self._cgroup_root = Cgroup(settings.cgroup_root)

    async def start_up(self) -> None:
        """Find conmon and the OCI runtime. Raises Unavailable."""
        await self.oci.start_up()
        self.monitors.start_up()
        self._inotify.start_up()

    async def close(self) -> None:
        """Take the daemon's own control group away where no container is left in it."""
        self._rotator.close()
        self._inotify.close()
        self._cgroup_root.remove_if_empty()

    async def create(self, launch: Launch) -> int:
        layout = Layout(launch.id, launch.bundle)
        layout.clear()
        layout.save_launch(launch)
        self._bundles[launch.id] = layout
        try:
            pid = await self.monitors.create(launch, layout)
        except BaseException:
            await asyncio.shield(self.delete(launch.id, force=True))
            raise
        self._rotator.add(launch)
        return pid

    async def start(self, id: str) -> None:
        await self.oci.start(id)

    async def wait(self, id: str) -> Exit:
        layout = self._layout(id)
        if monitor := layout.monitor():
            await ended(monitor)
        return await self._exit(layout)

    async def _exit(self, layout: Layout) -> Exit:
        """How a container whose monitor is gone ended. One that outlived its monitor lost its streams: it is killed."""
        if layout.ended() is None:
            cgroup = Cgroup(layout.cgroup())
            cgroup.thaw()
            pid = layout.pid()
            if pid and pid in cgroup.pids():
                _send(pid, signals.SIGKILL)
                await ended(pid)
            layout.record_exit(128 + signals.SIGKILL)
        if not layout.oom_file.exists() and Cgroup(layout.cgroup()).oom_kills():
            layout.oom_file.touch()
        return layout.ended() or Exit(255, datetime.now(UTC))

    async def kill(self, id: str, signal: int, *, all: bool = False) -> None:
        """Raises Conflict where the container does not run."""
        layout = self._layout(id)
        cgroup = Cgroup(layout.cgroup())
        pid = layout.pid()
        inside = cgroup.pids()
        if pid is None or pid not in inside:
            raise Conflict(f"container {id} is not running", ("container", id))
        for target in inside if all else (pid,):
            _send(target, signal)
        if signal == signals.SIGKILL:
            cgroup.thaw()

    async def pause(self, id: str) -> None:
        await self.oci.pause(id)

    async def resume(self, id: str) -> None:
        await self.oci.resume(id)

    async def update(self, id: str, resources: Mapping[str, Any]) -> None:
        await self.oci.update(id, resources)

    async def delete(self, id: str, *, force: bool = False) -> None:
        layout = self._bundles.get(id)
        if layout is None:
            await self.oci.delete(id)
            return
        if not force and layout.ended() is None and layout.monitor() is not None:
            raise Conflict(f"container {id} is running: stop it first, or use force", ("container", id))
        await self._remove(layout)
        del self._bundles[id]

    async def _remove(self, layout: Layout) -> None:
        self._rotator.remove(layout.id)
        cgroup = Cgroup(layout.cgroup())
        cgroup.thaw()
        await self.oci.delete(layout.id)
        for pid in cgroup.pids():
            _send(pid, signals.SIGKILL)
        if monitor := layout.monitor():
            await ended(monitor)
        for folder in layout.execs.glob("*"):
            if monitor := Layout(layout.id, folder).monitor():
                await ended(monitor)
        for _ in range(_CLEANUP_TRIES):
            if cgroup.remove():
                break
            await asyncio.sleep(0.01)
        else:
            raise ShoalError(f"the control group of container {layout.id} stays busy", ("container", layout.id))
        layout.clear()
        shutil.rmtree(layout.execs, ignore_errors=True)

    async def attach(self, id: str) -> AttachSocket:
        return await AttachSocket.open(self._layout(id).attach_socket)

    def resize(self, id: str, height: int, width: int) -> None:
        self._layout(id).resize(height, width)

    async def exec(self, id: str, spec: ExecSpec) -> ExecProcess:
        return await start_exec(self.monitors, self._layout(id), spec)

    async def recover(self, id: str, bundle: Path) -> int | Exit | None:
        layout = Layout(id, bundle)
        if not layout.config.exists():
            return None
        monitor, pid = layout.monitor(), layout.pid()
        if pid is None and monitor is None and layout.ended() is None:
            return None
        self._bundles[id] = layout
        shutil.rmtree(layout.execs, ignore_errors=True)
        if monitor is None or pid is None:
            return await self._exit(layout)
        self._rotator.add(layout.load_launch())
        return pid

    def log(self, id: str, path: Path) -> ContainerLog:
        """The log of a container, known or not: only a running one's can be followed."""
        return ContainerLog(path, self._inotify, self._bundles.get(id))

    async def stats(self, id: str) -> dict[str, Any]:
        return stats(Cgroup(self._layout(id).cgroup()))

    async def pids(self, id: str) -> Sequence[int]:
        return Cgroup(self._layout(id).cgroup()).pids()

    def _layout(self, id: str) -> Layout:
        try:
            return self._bundles[id]
        except KeyError:
            raise NotFound(f"the runtime knows no container {id}", ("container", id)) from None


def _send(pid: int, signal: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal)
