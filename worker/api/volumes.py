"""Endpoints of volumes: /volumes…"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from common import http
from common.errors import Unsupported
from common.filters import Filters
from common.model.base import EngineSpec
from worker.api.http import version
from worker.engine.node import Engine
from worker.volumes.base import VolumeInfo
from worker.volumes.local import ANONYMOUS

_LIST_FILTERS = ("name", "label", "label!", "dangling", "driver")
_PRUNE_FILTERS = ("label", "label!", "all")


class CreateRequest(EngineSpec, frozen=True, kw_only=True):
    """The body of POST /volumes/create. `cluster_volume_spec` (CSI) is refused."""

    name: str = ""
    driver: str = "local"
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}
    cluster_volume_spec: dict[str, Any] | None = None


def routes(engine: Engine) -> list[web.RouteDef]:
    handlers = _Volumes(engine)
    return [
        web.get("/volumes", handlers.list),
        web.post("/volumes/create", handlers.create),
        web.post("/volumes/prune", handlers.prune),
        web.get("/volumes/{name}", handlers.inspect),
        web.put("/volumes/{name}", handlers.update),
        web.delete("/volumes/{name}", handlers.remove),
    ]


class _Volumes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._volumes = engine.volumes

    async def list(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"), _LIST_FILTERS)
        dangling = filters.flag("dangling")
        shown = [
            info
            for info in self._volumes.list()
            if filters.match("name", info.name)
            and filters.labels(info.labels or {})
            and filters.exact("driver", info.driver)
            and (dangling is None or dangling is not bool(self._volumes.users(info.name)))
        ]
        return http.answer({"Volumes": shown, "Warnings": None})

    async def create(self, request: web.Request) -> web.Response:
        wanted = await http.body(request, CreateRequest)
        if wanted.cluster_volume_spec is not None:
            raise Unsupported("cluster volumes (CSI) are not supported: create a local volume")
        info = await self._volumes.create(
            wanted.name, driver=wanted.driver or "local", options=wanted.driver_opts, labels=wanted.labels
        )
        return http.answer(info, 201)

    async def inspect(self, request: web.Request) -> web.Response:
        return http.answer(self._volumes.get(request.match_info["name"]))

    async def update(self, request: web.Request) -> web.Response:
        self._volumes.get(request.match_info["name"])
        raise Unsupported(
            "only cluster volumes can be updated, and those are not supported: remove and create the volume"
        )

    async def remove(self, request: web.Request) -> web.Response:
        await self._volumes.remove(request.match_info["name"], force=http.flag(request, "force"))
        return http.empty()

    async def prune(self, request: web.Request) -> web.Response:
        """Anonymous volumes that no container names; with the filter all=true named ones too."""
        filters = Filters.parse(request.query.get("filters"), _PRUNE_FILTERS)
        every = filters.flag("all", version(request) < (1, 42))
        removed, space = [], 0
        for usage in await self._volumes.disk_usage():
            info = msgspec.convert(usage, VolumeInfo)
            if self._volumes.users(info.name) or not filters.labels(info.labels or {}):
                continue
            if every or ANONYMOUS in (info.labels or {}):
                await self._volumes.remove(info.name)
                removed.append(info.name)
                space += max((info.usage_data or {}).get("Size", 0), 0)
        self._engine.events.publish("volume", "prune", "", {"reclaimed": str(space)})
        return http.answer({"VolumesDeleted": removed, "SpaceReclaimed": space})
