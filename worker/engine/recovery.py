"""A daemon's start: finding out what every container really is now, whatever killed the last daemon and whenever.

Half-created containers and half-removed ones are taken away, half-started ones are put back, running ones are followed again,
and those that ended meanwhile get their end: exit code, event, restart policy. Other parts of the worker are told who uses what.
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from common.errors import ShoalError
from worker.engine import cleanup
from worker.engine.container import Container
from worker.engine.disk import Remains
from worker.engine.parts import Parts
from worker.engine.removal import remove_ended
from worker.engine.restart import FIRST, wanted
from worker.engine.running import follow, restart_later
from worker.runtime.base import Exit
from worker.runtime.cgroups import Cgroup

log = structlog.get_logger()
_LOST = 255  # exit code of a container whose end nobody saw, as after a reboot


async def recover(parts: Parts) -> None:
    """Before the first request; needs the other parts started."""
    for record, state in parts.disk.existing():
        parts.index.add(Container(record, state, parts.disk))
    found = {container.id: await _look(parts, container) for container in parts.index}
    await parts.volumes.recover(_volume_users(parts))
    await parts.networks.recover([id for id, seen in found.items() if seen is not None])
    for remains in list(parts.disk.remains()):
        await _take_away(parts, remains)
    for container in parts.index:
        await _settle(parts, container, found[container.id])


async def _look(parts: Parts, container: Container) -> int | Exit | None:
    """The pid of a run that goes on, the end of one that is over, None where there is none."""
    seen = await parts.runtime.recover(container.id, container.bundle)
    if container.state.starting:
        return None
    if seen is None and container.state.status in ("running", "paused"):
        return Exit(_LOST, datetime.now(UTC))
    return seen if container.running else None


def _volume_users(parts: Parts) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for container in parts.index:
        for point in container.record.mounts:
            if point.type == "volume":
                users.setdefault(point.name, []).append(container.id)
    return users


async def _take_away(parts: Parts, remains: Remains) -> None:
    """Finish a removal, undo a creation. Without a readable record nothing but the id's own things can be there."""
    id = remains.id
    try:
        await parts.runtime.recover(id, parts.disk.bundle(id))
        if remains.record is not None:
            await cleanup.everything(parts, remains.record, volumes=remains.volumes)
            return
        await cleanup.after_run(parts, id)
        await parts.images.release(id)
        parts.disk.remove(id)
    except (ShoalError, OSError) as error:
        log.warning("the rest of a container cannot be taken away", container=id, error=str(error))


async def _settle(parts: Parts, container: Container, seen: int | Exit | None) -> None:
    if isinstance(seen, int):
        _take_back(parts, container, seen)
    elif seen is not None and parts.disk.bundle(container.id).exists():
        follow(parts, container)
    else:
        await _settle_stopped(parts, container, seen)


def _take_back(parts: Parts, container: Container, pid: int) -> None:
    frozen = Cgroup(f"{parts.settings.cgroup_root}/{container.id}").frozen()
    container.set_state(status="paused" if frozen else "running", pid=pid)
    follow(parts, container)


async def _settle_stopped(parts: Parts, container: Container, exit: Exit | None) -> None:
    """Nothing runs: clear away what a half start or a half end left, then let policy and --rm have their say."""
    await cleanup.after_run(parts, container.id)
    if exit is not None:
        container.set_state(status="exited", pid=0, exit_code=exit.code, finished_at=exit.finished_at)
        parts.publish(container, "die", {"exitCode": str(exit.code)})
    elif container.state.starting or container.restarting:
        status = "created" if container.state.started_at is None else "exited"
        container.set_state(status=status, starting=False, pid=0)
    if container.state.started_at is None:
        return
    if wanted(container, container.state.exit_code):
        container.set_state(status="restarting")
        parts.background.spawn(f"restart of {container.name}", restart_later(parts, container, FIRST))
    elif container.host.auto_remove:
        parts.background.spawn(f"removal of {container.name}", remove_ended(parts, container))
