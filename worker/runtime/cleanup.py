"""Taking away all that one container is on the machine: processes, monitor, runtime's state, control group, run-time files.

Works from whatever a crash has left, and again from what its own crash has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from signal import SIGKILL

import structlog

from common.errors import ShoalError
from worker.runtime.cgroups import Cgroup
from worker.runtime.layout import Layout
from worker.runtime.oci import OciRuntime
from worker.runtime.process import ended

log = structlog.get_logger()
_TRIES = 500  # of 10 ms each, until killed processes are gone
_PAUSE = 0.01


async def remove(oci: OciRuntime, layout: Layout, cgroup: Cgroup) -> None:
    """Remove a container in any state. Raises ShoalError where its processes cannot be killed."""
    cgroup.thaw()
    if layout.pid() is None:
        await abort(layout)
    try:
        await oci.delete(layout.id)
    except ShoalError as error:  # its state is torn, or an earlier daemon's delete is still at work
        log.info("the OCI runtime cannot delete a container, it is done by hand", id=layout.id, error=error.message)
    await _empty(layout, cgroup)
    await _monitors_end(layout)
    oci.forget(layout.id)
    layout.clear()
    shutil.rmtree(layout.execs, ignore_errors=True)


async def abort(layout: Layout) -> None:
    """Kill those who are just creating the container: its monitor, the OCI runtime and what that has forked."""
    for _ in range(_TRIES):
        creators = _creators(layout.folder)
        if not creators:
            return
        for pid in creators:
            send(pid, SIGKILL)
        await asyncio.sleep(_PAUSE)


def _creators(bundle: Path) -> list[int]:
    """Processes that were started with `--bundle` and this folder."""
    wanted = b"--bundle\0" + os.fsencode(bundle) + b"\0"
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if wanted in Path(entry.path, "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


async def _empty(layout: Layout, cgroup: Cgroup) -> None:
    """Kill what is left in the control group, and remove that."""
    for _ in range(_TRIES):
        for pid in cgroup.pids():
            send(pid, SIGKILL)
        if cgroup.remove():
            return
        await asyncio.sleep(_PAUSE)
    raise ShoalError(f"processes of container {layout.id} cannot be killed", ("container", layout.id))


async def _monitors_end(layout: Layout) -> None:
    """Wait for the container's monitor and its execs': they end by themselves when their processes are gone."""
    for each in (layout, *(Layout(layout.id, folder) for folder in layout.execs.glob("*"))):
        if monitor := each.monitor():
            await ended(monitor)


def send(pid: int, signal: int) -> None:
    """Signal a process; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal)
