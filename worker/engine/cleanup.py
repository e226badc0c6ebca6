"""Giving back what a run or a whole container held. Every step is idempotent, so that recovery can repeat it."""

from __future__ import annotations

from contextlib import suppress

from common.errors import Conflict, NotFound
from worker.engine import bundlemounts
from worker.engine.parts import Parts
from worker.engine.record import Record
from worker.engine.together import both


async def after_run(parts: Parts, id: str) -> None:
    """After the end of a run, or of a start that failed: processes, network, mounts. Volumes stay the container's."""
    await both(parts.networks.close(id), parts.runtime.delete(id, force=True))
    bundlemounts.unmount_all(parts.disk.bundle(id))
    await parts.images.unmount(id)


async def everything(parts: Parts, record: Record, *, volumes: bool) -> None:
    """The whole container; with `volumes` its anonymous volumes too, where nobody else uses them."""
    await after_run(parts, record.id)
    await parts.images.release(record.id)
    for point in record.mounts:
        if point.type == "volume":
            await parts.volumes.release(point.name, record.id)
            if volumes and point.anonymous:
                with suppress(NotFound, Conflict):
                    await parts.volumes.remove(point.name)
    parts.disk.remove(record.id)
