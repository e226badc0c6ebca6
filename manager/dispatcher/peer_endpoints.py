"""What a dispatcher answers to other managers: heard nodes, whether a session is alive, a task's log. See others.py."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec
from aiohttp import web

from common import http, wire
from common.errors import InvalidArgument, NotFound
from manager.dispatcher.others import ALIVE, HEARD, LOG, Heard, framed

MISDIRECTED = 421  # the status of a manager that does not lead


class Hearer(Protocol):
    def hear(self, nodes: Sequence[str]) -> bool:
        """Other managers heard these nodes. False where this one does not lead."""

    async def speaks(self, node_id: str, instance: str) -> bool:
        """Whether a session here, of another instance than this of the node, is alive."""

    def own_log(self, node_id: str, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None] | None:
        """The log of a task of the node; None where that has no session here."""


def routes(dispatcher: Hearer) -> list[web.RouteDef]:
    async def heard(request: web.Request) -> web.Response:
        try:
            told = msgspec.msgpack.decode(await request.read(), type=Heard)
        except msgspec.MsgspecError as error:
            raise InvalidArgument(f"the message makes no sense: {error}") from None
        return http.empty(204 if dispatcher.hear(told.nodes) else MISDIRECTED)

    async def alive(request: web.Request) -> web.Response:
        if not await dispatcher.speaks(request.query.get("node", ""), request.query.get("instance", "")):
            raise NotFound("no other session of the node is alive here")
        return http.empty()

    async def log(request: web.Request) -> web.StreamResponse:
        try:
            options = msgspec.json.decode(request.query.get("options", ""), type=wire.LogRequest)
        except msgspec.MsgspecError as error:
            raise InvalidArgument(f"the options make no sense: {error}") from None
        wanted = msgspec.structs.replace(options, task_id=request.match_info["id"])
        found = dispatcher.own_log(request.query.get("node", ""), wanted)
        if found is None:
            raise NotFound("the task's node has no session here")
        return await http.stream(request, _frames(found), "application/octet-stream", whole=True)

    return [web.post(HEARD, heard), web.get(ALIVE, alive), web.get(LOG, log)]


async def _frames(found: AsyncGenerator[wire.LogChunk, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(found) as chunks:
        async for chunk in chunks:
            yield framed(chunk)
