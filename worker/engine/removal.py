"""Removing containers. From mark_removing() on a container is gone; whoever comes later finishes what is left to do."""

from __future__ import annotations

from common.errors import Conflict, NotFound
from worker.engine import cleanup
from worker.engine.container import Container
from worker.engine.parts import Parts
from worker.engine.stopping import kill


async def remove(parts: Parts, container: Container, *, force: bool = False, volumes: bool = False) -> None:
    """Raises Conflict for a running container without `force`, and for one that is being removed."""
    if container.removing:
        raise Conflict(f"removal of container {container.name} is already in progress", ("container", container.id))
    if (container.active or container.restarting) and not force:
        state = "paused" if container.paused else "restarting" if container.restarting else "running"
        hint = "unpause and then stop" if container.paused else "stop"
        raise Conflict(
            f'cannot remove container "{container.name}": container is {state}: {hint} the container before removing or '
            "force remove",
            ("container", container.id),
        )
    container.removing = True
    try:
        container.no_restart.set()
        while not await _remove(parts, container, volumes=volumes):
            if not force:
                raise Conflict(f"container {container.name} was started while it was being removed: try again")
            await kill(parts, container)
    finally:
        container.removing = False


async def remove_ended(parts: Parts, container: Container) -> None:
    """What `--rm` asks for, with the anonymous volumes."""
    if not container.removing:
        await remove(parts, container, volumes=True)


async def _remove(parts: Parts, container: Container, *, volumes: bool) -> bool:
    """False where it runs, perhaps only since now: a start that was under way is waited for."""
    async with container.lock:
        if container.active:
            return False
        container.state = container.state_with(status="removing")
        try:
            parts.disk.mark_removing(container.id, volumes=volumes)
            await cleanup.everything(parts, container.record, volumes=volumes)
        except BaseException:
            container.state = container.state_with(status="dead")
            raise
        parts.index.remove(container)
    parts.publish(container, "destroy")
    container.attach_waiters.fail(NotFound(f"No such container: {container.id}", ("container", container.id)))
    for waiters in (container.ended, container.removed):
        waiters.fire(container.state)
    return True
