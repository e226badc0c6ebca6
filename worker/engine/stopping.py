"""Ending and holding runs by a user's wish: stop, kill, pause, unpause."""

from __future__ import annotations

import asyncio
import signal as signals
from contextlib import suppress

from common.errors import Conflict, NotFound
from worker.engine.container import Container
from worker.engine.parts import Parts
from worker.engine.validate import parse_signal

GRACE = 10  # seconds between the stop signal and SIGKILL where nobody says otherwise


async def stop(parts: Parts, container: Container, timeout: int | None = None, signal: str = "") -> bool:
    """Stop; False where it did not run. `timeout` in seconds, negative: wait for ever; None: the container's own."""
    number = parse_signal(signal) if signal else stop_signal(container)
    if container.restarting:
        await _cancel_restart(container)
        return True
    if not container.active:
        return False
    grace = _grace(container) if timeout is None else timeout
    await _end(parts, container, number, grace)
    parts.publish(container, "stop")
    return True


async def _end(parts: Parts, container: Container, number: int, grace: int) -> None:
    """Send the signal, then SIGKILL once `grace` seconds are over; return when the run is over and cleaned up."""
    ended = container.ended.future()
    _remember_stop(container)
    await _send(parts, container, number)
    if container.active and number != signals.SIGKILL:
        await asyncio.wait({ended}, timeout=None if grace < 0 else grace)
    if container.active and not ended.done():
        if number != signals.SIGKILL:
            await _send(parts, container, signals.SIGKILL)
        await ended


async def _send(parts: Parts, container: Container, number: int) -> None:
    """A process that has just ended is as good as one that got the signal. A paused one could not act on it."""
    if container.paused and number != signals.SIGKILL:
        with suppress(Conflict):
            await unpause(parts, container)
    try:
        await parts.runtime.kill(container.id, number)
    except (Conflict, NotFound):
        return
    parts.publish(container, "kill", {"signal": str(number)})


async def kill(parts: Parts, container: Container, signal: str = "") -> None:
    """Send a signal (SIGKILL where none is named, and then wait for the end). Raises Conflict where it does not run."""
    number = parse_signal(signal) if signal else int(signals.SIGKILL)
    if container.restarting:
        await _cancel_restart(container)
    elif not container.running:
        raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
    elif number == signals.SIGKILL:
        await _end(parts, container, number, 0)
    else:
        if number == stop_signal(container):
            _remember_stop(container)
        await parts.runtime.kill(container.id, number)
        parts.publish(container, "kill", {"signal": str(number)})


def _remember_stop(container: Container) -> None:
    container.no_restart.set()
    container.set_state(manually_stopped=True)


async def _cancel_restart(container: Container) -> None:
    container.no_restart.set()
    async with container.lock:
        if container.restarting:
            container.set_state(status="exited", manually_stopped=True)


def stop_signal(container: Container) -> int:
    return parse_signal(container.config.stop_signal or "SIGTERM")


def _grace(container: Container) -> int:
    return GRACE if container.config.stop_timeout is None else container.config.stop_timeout


async def pause(parts: Parts, container: Container) -> None:
    """Raises Conflict where it does not run or is paused already."""
    async with container.lock:
        if container.restarting:
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        if not container.running:
            raise Conflict(f"Container {container.id} is not running")
        if container.paused:
            raise Conflict(f"Container {container.id} is already paused")
        await parts.runtime.pause(container.id)
        container.set_state(status="paused")
    parts.publish(container, "pause")


async def unpause(parts: Parts, container: Container) -> None:
    """Raises Conflict where it is not paused."""
    async with container.lock:
        if not container.paused:
            raise Conflict(f"Container {container.id} is not paused")
        await parts.runtime.resume(container.id)
        container.set_state(status="running")
    parts.publish(container, "unpause")
