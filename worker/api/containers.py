"""The endpoints of a container's life: list, create, inspect, start, stop, restart, kill, pause, update, wait, remove, prune.

Streams (logs, attach), execs, stats and archives have modules of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from aiohttp import web

from common.errors import InvalidArgument, NotFound, Unsupported
from common.filters import Filters
from common.http import answer, body, empty, flag, number, stream
from common.model.container import ContainerConfig, HostConfig, NetworkingConfig
from worker.engine import listing, pruning
from worker.engine.node import Engine
from worker.engine.record import State
from worker.engine.update import UpdateRequest
from worker.host import architecture


class CreateRequest(ContainerConfig, frozen=True, kw_only=True):
    """The body of POST /containers/create."""

    host_config: HostConfig = HostConfig()
    networking_config: NetworkingConfig = NetworkingConfig()


class _Handlers:
    def __init__(self, engine: Engine) -> None:
        self._containers = engine.containers

    def routes(self) -> list[web.RouteDef]:
        actions = {
            "start": self.start, "stop": self.stop, "restart": self.restart, "kill": self.kill, "update": self.update,
            "rename": self.rename, "pause": self.pause, "unpause": self.unpause, "wait": self.wait,
        }  # fmt: skip
        return [
            web.get("/containers/json", self.list, allow_head=False),
            web.post("/containers/create", self.create),
            web.post("/containers/prune", self.prune),
            web.get("/containers/{id}/json", self.inspect, allow_head=False),
            web.delete("/containers/{id}", self.remove),
            *(web.post(f"/containers/{{id}}/{name}", handler) for name, handler in actions.items()),
        ]

    async def list(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"), listing.FILTERS)
        limit = number(request, "limit", 0) or 0
        found = await self._containers.summaries(
            filters, all=flag(request, "all"), limit=max(0, limit), size=flag(request, "size")
        )
        return answer(found)

    async def create(self, request: web.Request) -> web.Response:
        _check_platform(request.query.get("platform", ""))
        wanted = await body(request, CreateRequest)
        container, warnings = await self._containers.create_with_warnings(
            request.query.get("name", ""), _config(wanted), wanted.host_config, wanted.networking_config
        )
        return answer({"Id": container.id, "Warnings": warnings}, 201)

    async def inspect(self, request: web.Request) -> web.Response:
        return answer(await self._containers.inspect(_ref(request), size=flag(request, "size")))

    async def start(self, request: web.Request) -> web.Response:
        return empty(204 if await self._containers.start(_ref(request)) else 304)

    async def stop(self, request: web.Request) -> web.Response:
        stopped = await self._containers.stop(_ref(request), number(request, "t"), request.query.get("signal", ""))
        return empty(204 if stopped else 304)

    async def restart(self, request: web.Request) -> web.Response:
        await self._containers.restart(_ref(request), number(request, "t"), request.query.get("signal", ""))
        return empty()

    async def kill(self, request: web.Request) -> web.Response:
        await self._containers.kill(_ref(request), request.query.get("signal", ""))
        return empty()

    async def update(self, request: web.Request) -> web.Response:
        warnings = await self._containers.update(_ref(request), await body(request, UpdateRequest))
        return answer({"Warnings": warnings})

    async def rename(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "")
        if not name:
            raise InvalidArgument("Neither old nor new names may be empty")
        self._containers.rename(_ref(request), name)
        return empty()

    async def pause(self, request: web.Request) -> web.Response:
        await self._containers.pause(_ref(request))
        return empty()

    async def unpause(self, request: web.Request) -> web.Response:
        await self._containers.unpause(_ref(request))
        return empty()

    async def wait(self, request: web.Request) -> web.StreamResponse:
        """The head goes out at once: clients start the container only when they know that the wait is registered."""
        condition = request.query.get("condition", "")
        future = self._containers.wait(_ref(request), condition)
        return await stream(request, _waited(future, with_error=condition != "removed"), whole=True)

    async def remove(self, request: web.Request) -> web.Response:
        if flag(request, "link"):
            raise Unsupported("links are not supported, so there is none to be removed")
        await self._containers.remove(_ref(request), force=flag(request, "force"), volumes=flag(request, "v"))
        return empty()

    async def prune(self, request: web.Request) -> web.Response:
        gone, freed = await self._containers.prune(Filters.parse(request.query.get("filters"), pruning.FILTERS))
        return answer({"ContainersDeleted": gone, "SpaceReclaimed": freed})


async def _waited(future: asyncio.Future[State], *, with_error: bool) -> AsyncGenerator[bytes, None]:
    try:
        state = await future
        shape: dict[str, Any] = {"StatusCode": state.exit_code}
        if state.error and with_error:
            shape["Error"] = {"Message": state.error}
        yield msgspec.json.encode(shape) + b"\n"
    finally:
        future.cancel()


def _ref(request: web.Request) -> str:
    return request.match_info["id"]


def _config(wanted: CreateRequest) -> ContainerConfig:
    return ContainerConfig(**{name: getattr(wanted, name) for name in ContainerConfig.__struct_fields__})


def _check_platform(text: str) -> None:
    """Raises NotFound, as for an image that is not there for that platform."""
    if not text:
        return
    system, _, machine = text.partition("/")
    if system != "linux" or (machine and machine.partition("/")[0] != architecture()):
        raise NotFound(f"no image for platform {text}: this node runs linux/{architecture()}")


def routes(engine: Engine) -> list[web.RouteDef]:
    return _Handlers(engine).routes()
