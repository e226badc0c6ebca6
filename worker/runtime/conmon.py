"""The runtime: containers by conmon and an OCI runtime (crun by default).

Holds nothing that a new daemon could not find again: a container's truth is its bundle folder (layout.py), its monitor
and its control group. Logs' rotation is rotation.py's; what a container is for is worker/engine's.
"""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import Conflict, NotFound
from common.settings import Settings
from worker.runtime.base import ExecSpec, Exit, Launch
from worker.runtime.cgroup_stats import stats
from worker.runtime.cgroups import Cgroup
from worker.runtime.cleanup import remove, send
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


class ConmonRuntime:
    """Implements worker.runtime.base.Runtime. `start_up()` before anything else; `close()` touches no container."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.oci = OciRuntime(settings)
        self.seccomp = SeccompCache(settings, self.oci)
        self.monitors = Monitors(settings, self.oci)
        self._inotify = Inotify()
        self._rotator = Rotator(self._inotify)
        self._bundles: dict[str, Layout] = {}

    async def start_up(self) -> None:
        """Find conmon and the OCI runtime. Raises Unavailable."""
        await self.oci.start_up()
        await self.seccomp.start_up()
        await self.monitors.start_up()
        self._inotify.start_up()

    async def close(self) -> None:
        """Take the daemon's own control group away where no container is left in it."""
        self._rotator.close()
        self._inotify.close()
        Cgroup(self._settings.cgroup_root).remove_if_empty()

    async def create(self, launch: Launch) -> int:
        layout = Layout(launch.id, launch.bundle)
        layout.prepare()
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
            cgroup = self._cgroup(layout)
            cgroup.thaw()
            pid = layout.pid()
            if pid and pid in cgroup.pids():
                send(pid, signals.SIGKILL)
                await ended(pid)
            layout.record_exit(128 + signals.SIGKILL)
        if not layout.oom_file.exists() and self._cgroup(layout).oom_kills():
            layout.oom_file.touch()
        return layout.ended() or Exit(255, datetime.now(UTC))

    def on_oom(self, id: str, callback: Callable[[], None]) -> Callable[[], None]:
        layout = self._layout(id)
        cgroup = self._cgroup(layout)

        def look() -> None:
            if layout.oom_file.exists() or cgroup.oom_kills():
                layout.oom_file.touch()
                stop()
                callback()

        # With version 2 the monitor misses kills: the kernel's own file tells of all of them.
        watched = cgroup.folder("memory") / "memory.events" if cgroup.where.version == 2 else layout.oom_folder
        try:
            stop = self._inotify.watch(watched, look)
        except FileNotFoundError:  # it has ended long ago
            return lambda: None
        look()
        return stop

    async def kill(self, id: str, signal: int, *, all: bool = False) -> None:
        """Raises Conflict where the container does not run."""
        layout = self._layout(id)
        cgroup = self._cgroup(layout)
        pid = layout.pid()
        inside = cgroup.pids()
        if pid is None or pid not in inside:
            raise Conflict(f"container {id} is not running", ("container", id))
        for target in inside if all else (pid,):
            send(target, signal)
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
        self._rotator.remove(id)
        await remove(self.oci, layout, self._cgroup(layout))
        self._bundles.pop(id, None)

    async def attach(self, id: str) -> AttachSocket:
        return await AttachSocket.open(self._layout(id).attach_socket)

    def resize(self, id: str, height: int, width: int) -> None:
        self._layout(id).resize(height, width)

    async def exec(self, id: str, spec: ExecSpec) -> ExecProcess:
        return await start_exec(self.monitors, self._layout(id), spec)

    async def recover(self, id: str, bundle: Path) -> int | Exit | None:
        layout = Layout(id, bundle)
        if not layout.launch_file.exists():
            return None
        if layout.pid() is None and layout.ended() is None:  # a daemon died while it created the container
            await remove(self.oci, layout, self._cgroup(layout))
            return None
        self._bundles[id] = layout
        if (pid := layout.pid()) is None or layout.monitor() is None:
            return await self._exit(layout)
        self._rotator.add(layout.load_launch())
        return pid

    def log(self, id: str, path: Path) -> ContainerLog:
        """The log of a container, known or not: only a running one's can be followed."""
        return ContainerLog(path, self._inotify, self._bundles.get(id))

    async def stats(self, id: str) -> dict[str, Any]:
        return stats(self._cgroup(self._layout(id)))

    async def pids(self, id: str) -> Sequence[int]:
        return self._cgroup(self._layout(id)).pids()

    def _cgroup(self, layout: Layout) -> Cgroup:
        return Cgroup(layout.cgroup() or f"{self._settings.cgroup_root}/{layout.id}")

    def _layout(self, id: str) -> Layout:
        try:
            return self._bundles[id]
        except KeyError:
            raise NotFound(f"the runtime knows no container {id}", ("container", id)) from None
