"""GET /containers/{id}/stats: samples each second, or one with or without the sample before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from common.errors import InvalidArgument, NotFound
from common.http import answer, flag, stream
from worker.engine.container import Container
from worker.engine.node import Engine

INTERVAL = 1.0  # seconds
_NEVER = "0001-01-01T00:00:00Z"
_NO_CPU = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}
_NOTHING = {
    "read": _NEVER, "preread": _NEVER, "pids_stats": {}, "memory_stats": {}, "num_procs": 0, "storage_stats": {},
    "blkio_stats": {}, "cpu_stats": _NO_CPU, "precpu_stats": _NO_CPU,
}  # fmt: skip


def routes(engine: Engine) -> list[web.RouteDef]:
    async def stats(request: web.Request) -> web.StreamResponse:
        container = engine.containers.get(request.match_info["id"])
        streaming, one_shot = flag(request, "stream", True), flag(request, "one-shot")
        if streaming and one_shot:
            raise InvalidArgument("cannot have stream=true and one-shot=true")
        if streaming:
            return await stream(request, _stream(engine, container))
        first = await sample(engine, container, None)
        if one_shot or not container.running:
            return answer(first)
        await asyncio.sleep(INTERVAL)
        return answer(await sample(engine, container, first))

    return [web.get("/containers/{id}/stats", stats)]


async def _stream(engine: Engine, container: Container) -> AsyncGenerator[bytes, None]:
    """Until the container is removed; while it does not run, its samples are empty."""
    before: dict[str, Any] | None = None
    loop = asyncio.get_running_loop()
    due = loop.time()
    while _exists(engine, container):
        before = await sample(engine, container, before)
        yield msgspec.json.encode(before) + b"\n"
        due = max(due + INTERVAL, loop.time())
        await asyncio.sleep(due - loop.time())


async def sample(engine: Engine, container: Container, before: dict[str, Any] | None) -> dict[str, Any]:
    """One sample in Docker's shape; `before` is the one that rates are computed against."""
    result: dict[str, Any] = {"name": f"/{container.name}", "id": container.id, **_NOTHING}
    if not container.running:
        return result
    try:
        result |= await engine.runtime.stats(container.id)
    except NotFound:  # it ends just now
        return result
    result["read"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if networks := engine.networks.stats(container.id):
        result["networks"] = networks
    if before is not None:
        result |= {"preread": before["read"], "precpu_stats": before["cpu_stats"]}
    return result


def _exists(engine: Engine, container: Container) -> bool:
    try:
        return engine.containers.get(container.id) is container
    except NotFound:
        return False
