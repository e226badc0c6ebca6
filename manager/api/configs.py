"""Configs: as secrets, but their data is no secret and part of every answer."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from msgspec.structs import replace

from common import http
from common.errors import InvalidArgument, Unsupported
from common.ids import object_id
from common.model import Config, ConfigSpec
from common.model.secret import MAX_CONFIG
from manager.api import shapes
from manager.api.context import Context
from manager.api.files import check_free, check_labels_only, check_unused, listing, out_of_sequence
from manager.api.lookup import find
from manager.store.base import Change, Delete, Put, View
from manager.validation.names import check_file_name, check_labels


class Configs:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/configs", self.list),
            web.post("/configs/create", self.create),
            web.get("/configs/{id}", self.inspect),
            web.post("/configs/{id}/update", self.update),
            web.delete("/configs/{id}", self.remove),
        ]

    async def list(self, request: web.Request) -> web.Response:
        return http.answer([shapes.plain(config) for config in listing(self._context.view, Config, request)])

    async def inspect(self, request: web.Request) -> web.Response:
        return http.answer(shapes.plain(find(self._context.view, Config, request.match_info["id"])))

    async def create(self, request: web.Request) -> web.Response:
        spec = await http.body(request, ConfigSpec)
        _check(spec)
        id = object_id()

        def build(view: View) -> tuple[Sequence[Change], None]:
            check_free(view, Config, spec.name)
            return [Put(Config(id=id, spec=spec))], None

        await self._context.transact(build)
        return http.answer({"ID": id}, 201)

    async def update(self, request: web.Request) -> web.Response:
        given = await http.body(request, ConfigSpec)
        seen = http.required_number(request, "version")

        def build(view: View) -> tuple[Sequence[Change], None]:
            config = find(view, Config, request.match_info["id"])
            out_of_sequence(config, seen)
            data = given.data or config.spec.data
            check_labels_only("config", replace(given, data=data), config.spec)
            return [Put(replace(config, spec=replace(config.spec, labels=given.labels)))], None

        await self._context.transact(build)
        return http.empty(200)

    async def remove(self, request: web.Request) -> web.Response:
        def build(view: View) -> tuple[Sequence[Change], None]:
            config = find(view, Config, request.match_info["id"])
            check_unused(view, "config", config.spec.name, config.id)
            return [Delete(config)], None

        await self._context.transact(build)
        return http.empty(204)


def _check(spec: ConfigSpec) -> None:
    check_file_name("config", spec.name)
    check_labels(spec.labels)
    if spec.templating is not None and spec.templating.name != "golang":
        raise Unsupported(f"template driver {spec.templating.name!r} is not supported for configs: use golang")
    if not 0 < len(spec.data) <= MAX_CONFIG:
        raise InvalidArgument(f"config data must be larger than 0 and less than {MAX_CONFIG} bytes")
