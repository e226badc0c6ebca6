"""Endpoints of execs: create, start (hijacked or detached), resize, inspect."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from aiohttp import web

from common.errors import NotFound, ShoalError
from common.http import answer, body, empty
from common.model.base import EngineSpec
from worker.api.attachment import Attachment, Ending, Wishes
from worker.api.detach import DEFAULT, parse_keys
from worker.api.http import Hijacked, hijack
from worker.api.streams import connection_of, console_size, stream_type
from worker.engine.execs import Exec, Execs
from worker.engine.execspec import ExecWish
from worker.engine.node import Engine


class _Start(EngineSpec, frozen=True, kw_only=True):
    """The body of POST /exec/{id}/start."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None


def routes(engine: Engine) -> list[web.RouteDef]:
    endpoints = _Endpoints(engine, engine.execs)
    return [
        web.post("/containers/{id}/exec", endpoints.create),
        web.post("/exec/{id}/start", endpoints.start),
        web.post("/exec/{id}/resize", endpoints.resize),
        web.get("/exec/{id}/json", endpoints.inspect),
    ]


@dataclass(frozen=True)
class _Endpoints:
    engine: Engine
    execs: Execs

    async def create(self, request: web.Request) -> web.StreamResponse:
        container = self.engine.containers.get(request.match_info["id"])
        wish = await body(request, ExecWish)
        parse_keys(wish.detach_keys or DEFAULT)
        return answer({"Id": self.execs.create(container, wish).id}, 201)

    async def start(self, request: web.Request) -> web.StreamResponse:
        options = await body(request, _Start)
        claimed = self.execs.claim(request.match_info["id"])
        if options.detach:
            (await self.execs.start(claimed, options.console_size)).close()
            return empty(200)
        multiplexed = not claimed.wish.tty
        connection = connection_of(request)
        client = await hijack(request, stream_type(request, multiplexed))
        with contextlib.suppress(ConnectionError):
            await self._serve(client, claimed, options, connection)
        return client

    async def _serve(self, client: Hijacked, claimed: Exec, options: _Start, connection: int | None) -> None:
        wish = claimed.wish
        try:
            streams = await self.execs.start(claimed, options.console_size)
        except ShoalError as error:  # the answer's head is out: the reason goes down the stream, as from Docker
            text = f"{error.message}\r\n".encode()
            await (client.send(text) if wish.tty else client.frame(2, text))
            return
        wishes = Wishes(
            multiplexed=not wish.tty,
            stdin=wish.attach_stdin,
            outputs=_outputs(wish),
            half_close=not wish.tty,
            keys=parse_keys(wish.detach_keys or DEFAULT) if wish.tty else b"",
        )
        attachment = Attachment(client, streams, wishes, self.engine.settings.root)
        ending = await attachment.run(connection)
        if ending is Ending.DETACHED:
            self.execs.detached(claimed)
        elif ending is Ending.ENDED:
            await claimed.over.wait()  # a client asks for the exit code as soon as its connection ends

    async def resize(self, request: web.Request) -> web.StreamResponse:
        height, width = console_size(request)
        self.execs.resize(request.match_info["id"], height, width)
        return empty(200)

    async def inspect(self, request: web.Request) -> web.StreamResponse:
        found = self.execs.get(request.match_info["id"])
        self._check_container(found)
        return answer(found.inspect())

    def _check_container(self, found: Exec) -> None:
        """An exec goes with its container."""
        try:
            self.engine.containers.get(found.container.id)
        except NotFound:
            raise NotFound(f"No such exec instance: {found.id}", ("exec", found.id)) from None


def _outputs(wish: ExecWish) -> set[int]:
    """Streams that the client gets; with a terminal both come as one."""
    if wish.tty:
        return {1}
    return {stream for stream, wanted in ((1, wish.attach_stdout), (2, wish.attach_stderr)) if wanted}
