"""Health checks: probes by exec, their results, and the states starting, healthy and unhealthy with their events."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from common import ids
from common.errors import ShoalError
from common.model.shared import HealthConfig
from worker.engine.container import Container
from worker.engine.healthconfig import enabled, retries, seconds
from worker.engine.parts import Parts
from worker.engine.record import Health, HealthResult
from worker.runtime.base import ExecHandle, ExecSpec

_OUTPUT = 4096  # bytes of a probe's output that are kept
_KEPT = 5  # results
_SHELL = ["/bin/sh", "-c"]


def first_health(container: Container) -> Health | None:
    """Of a new run; None where the container has no check."""
    return Health() if enabled(container.config.healthcheck) else None


async def watch_health(parts: Parts, container: Container) -> None:
    """Probe until the present run is over."""
    check = container.config.healthcheck
    assert check is not None
    ended = container.ended.future()
    while True:
        await asyncio.wait({ended}, timeout=_pause(container, check))
        if ended.done():
            return
        if container.paused:
            continue
        result = await _probe(parts, container, check)
        if container.active and container.state.health is not None and not ended.done():
            _note(parts, container, after(container.state.health, result, check, container.state.started_at))


def _pause(container: Container, check: HealthConfig) -> float:
    health, started = container.state.health, container.state.started_at
    starting = health is not None and health.status == "starting" and started is not None
    early = started is not None and (datetime.now(UTC) - started).total_seconds() < seconds(check, "start_period")
    return seconds(check, "start_interval" if starting and early else "interval")


def _note(parts: Parts, container: Container, health: Health) -> None:
    before = container.state.health
    container.note_health(health)
    if before is None or before.status != health.status:
        parts.publish(container, f"health_status: {health.status}")


def after(health: Health, result: HealthResult, check: HealthConfig, started: datetime | None) -> Health:
    """The health with one more result, by Docker's rules: failures before the start period is over do not count."""
    log = (*health.log, result)[-_KEPT:]
    if result.exit_code == 0:
        return Health(status="healthy", failing_streak=0, log=log)
    excused = (
        health.status == "starting"
        and started is not None
        and (result.start - started).total_seconds() < seconds(check, "start_period")
    )
    streak = health.failing_streak + (not excused)
    status = "unhealthy" if not excused and streak >= retries(check) else health.status
    return Health(status=status, failing_streak=streak, log=log)


async def _probe(parts: Parts, container: Container, check: HealthConfig) -> HealthResult:
    start = datetime.now(UTC)
    try:
        spec = ExecSpec(id=ids.hex_id(), process=_process(container, check))
        code, output = await _run(parts, container, spec, seconds(check, "timeout"))
    except ShoalError as error:
        code, output = -1, error.message
    return HealthResult(start=start, end=datetime.now(UTC), exit_code=code, output=output)


def _process(container: Container, check: HealthConfig) -> dict[str, Any]:
    """The container's own process with another command line: same user, environment and capabilities."""
    process: dict[str, Any] = json.loads((container.bundle / "config.json").read_bytes())["process"]
    kind, *words = check.test
    arguments = words if kind == "CMD" else [*(container.config.shell or _SHELL), *words]
    return process | {"args": arguments, "terminal": False}


async def _run(parts: Parts, container: Container, spec: ExecSpec, timeout: float) -> tuple[int, str]:
    """The exit code and the output; with the events of any exec, as Docker has them for its probes."""
    about, command = {"execID": spec.id}, " ".join(spec.process["args"])
    parts.publish(container, f"exec_create: {command}", about)
    handle = await parts.runtime.exec(container.id, spec)
    parts.publish(container, f"exec_start: {command}", about)
    output = bytearray()
    try:
        async with asyncio.timeout(timeout):
            await _collect(handle, output)
            ended = code = await handle.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.kill(handle.pid, signal.SIGKILL)
        ended, code = await handle.wait(), -1
        output[:0] = f"Health check exceeded timeout ({timeout:g}s): ".encode()
    finally:
        handle.streams.close()
    parts.publish(container, "exec_die", about | {"exitCode": str(ended)})
    return code, output.decode(errors="replace")


async def _collect(handle: ExecHandle, output: bytearray) -> None:
    """Read to the end, keep the beginning."""
    while (chunk := await handle.streams.read()) is not None:
        output += chunk[1][: max(0, _OUTPUT - len(output))]
