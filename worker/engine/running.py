"""Runs of a container: starting one, noticing its end, and what its restart policy makes of that."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from common.errors import Conflict, ShoalError
from worker.engine import cleanup
from worker.engine.container import Container
from worker.engine.health import first_health, watch_health
from worker.engine.parts import Parts
from worker.engine.preparation import create_run
from worker.engine.removal import remove_ended
from worker.engine.restart import next_delay
from worker.engine.ulimits import tighten
from worker.runtime.base import Exit
from worker.runtime.faults import StartFailed


async def start(parts: Parts, container: Container) -> bool:
    """Start by a user's wish; False where it runs already. Raises Conflict, and what stands in the way of the start."""
    try:
        async with container.lock:
            _refuse(container)
            if container.active or container.restarting:
                return False
            container.no_restart.clear()
            container.restart_delay = 0.0
            await _launch(parts, container, restart_count=0)
    except BaseException:
        if container.host.auto_remove and not container.active and container.state.status == "created":
            await asyncio.shield(remove_ended(parts, container))
        raise
    return True


def _refuse(container: Container) -> None:
    if container.paused:
        raise Conflict("cannot start a paused container, try unpause instead", ("container", container.id))
    if container.removing or container.state.status in ("removing", "dead"):
        raise Conflict("container is marked for removal and cannot be started", ("container", container.id))


async def _launch(parts: Parts, container: Container, *, restart_count: int) -> None:
    """One run, from a stopped container to a running one, or back to where it was. The lock is held."""
    container.set_state(starting=True)
    try:
        pid = await create_run(parts, container)
        tighten(pid, container.host.ulimits)
        await container.attach_waiters.connect(parts.runtime, container.id)
        await parts.runtime.start(container.id)
    except BaseException as error:
        await asyncio.shield(_undo(parts, container, error))
        raise
    container.active = True
    container.set_state(
        status="running", starting=False, pid=pid, exit_code=0, error="", oom_killed=False, manually_stopped=False,
        started_at=datetime.now(UTC), restart_count=restart_count, health=first_health(container),
    )  # fmt: skip
    parts.publish(container, "start")
    follow(parts, container)


async def _undo(parts: Parts, container: Container, error: BaseException) -> None:
    """A start that failed: what it made is taken away, what went wrong is remembered."""
    try:
        await cleanup.after_run(parts, container.id)
    finally:
        message = error.message if isinstance(error, ShoalError) else str(error)
        code = error.exit_code if isinstance(error, StartFailed) else 128
        status = "created" if container.state.started_at is None else "exited"
        container.set_state(status=status, starting=False, pid=0, exit_code=code, error=message)
        failure = error if isinstance(error, ShoalError) else ShoalError(message or type(error).__name__)
        container.attach_waiters.fail(failure)


def follow(parts: Parts, container: Container) -> None:
    """Wait for the end of a run in the background, and check its health until then."""
    container.active = True
    parts.background.spawn(f"end of {container.name}", _until_end(parts, container))
    if container.state.health is not None:
        parts.background.spawn(f"health of {container.name}", watch_health(parts, container))


async def _until_end(parts: Parts, container: Container) -> None:
    deaf = parts.runtime.on_oom(container.id, lambda: _out_of_memory(parts, container))
    try:
        exit = await parts.runtime.wait(container.id)
    finally:
        deaf()
    async with container.lock:
        delay = await _finish(parts, container, exit)
    if delay is not None:
        await restart_later(parts, container, delay)
    elif container.host.auto_remove and not container.removing:
        await remove_ended(parts, container)


def _out_of_memory(parts: Parts, container: Container) -> None:
    """The kernel has killed one of its processes; the container itself may run on."""
    if not container.state.oom_killed:
        container.set_state(oom_killed=True)
        parts.publish(container, "oom")


async def _finish(parts: Parts, container: Container, exit: Exit) -> float | None:
    """The run is over: say so, give back what it held; the seconds until its policy wants another run, None for never."""
    state = container.state
    delay = next_delay(container, exit)
    container.set_state(
        status="exited" if delay is None else "restarting", pid=0, exit_code=exit.code, oom_killed=exit.oom_killed,
        finished_at=exit.finished_at, restart_count=state.restart_count + (delay is not None),
    )  # fmt: skip
    seconds = (exit.finished_at - state.started_at).total_seconds() if state.started_at else 0
    if exit.oom_killed and not state.oom_killed:
        parts.publish(container, "oom")
    parts.publish(container, "die", {"exitCode": str(exit.code), "execDuration": str(max(0, int(seconds)))})
    try:
        await cleanup.after_run(parts, container.id)
    finally:
        container.active = False
        container.ended.fire(container.state)
    return delay


async def restart_later(parts: Parts, container: Container, delay: float) -> None:
    """Start again after `delay` seconds, unless somebody stops or removes the container until then."""
    try:
        await asyncio.wait_for(container.no_restart.wait(), delay)
    except TimeoutError:
        async with container.lock:
            if not container.no_restart.is_set():
                await _launch(parts, container, restart_count=container.state.restart_count)
