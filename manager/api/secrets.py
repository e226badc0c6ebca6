"""Secrets: created sealed, listed and inspected without their data, removed when no service uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from common import http
from common.errors import InvalidArgument, Unsupported
from common.ids import object_id
from common.model import Secret, SecretSpec
from common.model.secret import MAX_SECRET
from manager.api import shapes
from manager.api.context import Context
from manager.api.files import check_free, check_labels_only, check_unused, listing, out_of_sequence
from manager.api.lookup import find
from manager.store.base import Change, Delete, Put, View
from manager.validation.names import check_file_name, check_labels


class Secrets:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/secrets", self.list),
            web.post("/secrets/create", self.create),
            web.get("/secrets/{id}", self.inspect),
            web.post("/secrets/{id}/update", self.update),
            web.delete("/secrets/{id}", self.remove),
        ]

    async def list(self, request: web.Request) -> web.Response:
        return http.answer([_shown(secret) for secret in listing(self._context.view, Secret, request)])

    async def inspect(self, request: web.Request) -> web.Response:
        return http.answer(_shown(find(self._context.view, Secret, request.match_info["id"])))

    async def create(self, request: web.Request) -> web.Response:
        given = await http.body(request, SecretSpec)
        _check(given)
        id = object_id()
        sealed = replace(given, data=self._context.vault.seal(id, given.data))

        def build(view: View) -> tuple[Sequence[Change], None]:
            check_free(view, Secret, given.name)
            return [Put(Secret(id=id, spec=sealed))], None

        await self._context.transact(build)
        return http.answer({"ID": id}, 201)

    async def update(self, request: web.Request) -> web.Response:
        given = await http.body(request, SecretSpec)
        seen = http.required_number(request, "version")

        def build(view: View) -> tuple[Sequence[Change], None]:
            secret = find(view, Secret, request.match_info["id"])
            out_of_sequence(secret, seen)
            check_labels_only("secret", replace(given, data=secret.spec.data), secret.spec)
            if given.data and given.data != self._context.vault.open(secret).spec.data:
                raise InvalidArgument("only updates to Labels are allowed: the data of a secret cannot be changed")
            return [Put(replace(secret, spec=replace(secret.spec, labels=given.labels)))], None

        await self._context.transact(build)
        return http.empty(200)

    async def remove(self, request: web.Request) -> web.Response:
        def build(view: View) -> tuple[Sequence[Change], None]:
            secret = find(view, Secret, request.match_info["id"])
            check_unused(view, "secret", secret.spec.name, secret.id)
            return [Delete(secret)], None

        await self._context.transact(build)
        return http.empty(204)


def _check(spec: SecretSpec) -> None:
    check_file_name("secret", spec.name)
    check_labels(spec.labels)
    if spec.driver is not None:
        raise Unsupported(f"secret driver {spec.driver.name!r} is not supported: give the secret's data")
    if spec.templating is not None and spec.templating.name != "golang":
        raise Unsupported(f"template driver {spec.templating.name!r} is not supported for secrets: use golang")
    if not 0 < len(spec.data) <= MAX_SECRET:
        raise InvalidArgument(f"secret data must be larger than 0 and less than {MAX_SECRET} bytes")


def _shown(secret: Secret) -> dict[str, Any]:
    return shapes.plain(replace(secret, spec=replace(secret.spec, data=b"")))
