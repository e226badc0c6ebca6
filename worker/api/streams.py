"""What streams from a container: attach (hijacked and web socket), resize; with logs, stats and top from their modules."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from common.errors import Conflict, InvalidArgument, ShoalError
from common.http import empty, flag, number
from worker.api import logs, stats, top
from worker.api.attachment import Attachment, Ending, Wishes
from worker.api.detach import DEFAULT, parse_keys
from worker.api.http import Hijacked, hijack, version
from worker.engine.container import Container
from worker.engine.node import Engine
from worker.runtime.base import Streams

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


def routes(engine: Engine) -> list[web.RouteDef]:
    endpoints = _Endpoints(engine)
    return [
        web.post("/containers/{id}/attach", endpoints.attach),
        web.get("/containers/{id}/attach/ws", endpoints.attach_socket),
        web.post("/containers/{id}/resize", endpoints.resize),
        *logs.routes(engine),
        *stats.routes(engine),
        *top.routes(engine),
    ]


def stream_type(request: web.Request, multiplexed: bool) -> str:
    """The content type of a stream; clients before 1.42 know one name only."""
    return MULTIPLEXED if multiplexed and version(request) >= (1, 42) else RAW


def console_size(request: web.Request) -> tuple[int, int]:
    """(height, width) of a resize request. Raises InvalidArgument."""
    height, width = number(request, "h"), number(request, "w")
    if height is None or width is None or not (0 <= height < 65536 and 0 <= width < 65536):
        raise InvalidArgument("a terminal's size is needed: h and w, whole numbers from 0 to 65535")
    return height, width


def connection_of(request: web.Request) -> int | None:
    """The descriptor of a request's connection; None where it is gone."""
    connection = request.transport.get_extra_info("socket") if request.transport else None
    return None if connection is None else int(connection.fileno())


@dataclass(frozen=True)
class _Endpoints:
    engine: Engine

    async def attach(self, request: web.Request) -> web.StreamResponse:
        container = self.engine.containers.get(request.match_info["id"])
        wishes = _wishes(request, container)
        future = await self._join(container) if flag(request, "stream") else None
        connection = connection_of(request)
        try:
            client = await hijack(request, stream_type(request, wishes.multiplexed))
            self._publish(container, "attach")
            if flag(request, "logs"):
                await self._replay(client, container, wishes)
            if future is not None:
                await self._serve(client, container, future, wishes, connection)
        except ConnectionError:
            return web.Response(status=499)
        finally:
            if future is not None:
                _leave(future)
        return client

    async def _join(self, container: Container) -> asyncio.Future[Streams]:
        """The streams now, or those of the container's next start."""
        if container.paused:
            raise Conflict(f"container {container.id} is paused, unpause the container before attach")
        if container.restarting:
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")
        if not container.running:
            return container.attach_waiters.wait()
        future: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        future.set_result(await self.engine.runtime.attach(container.id))
        return future

    async def _replay(self, client: Hijacked, container: Container, wishes: Wishes) -> None:
        async for batch in self.engine.runtime.log(container.id, container.log_path).batches():
            for line in batch:
                if line.stream in wishes.outputs:
                    await (client.frame(line.stream, line.data) if wishes.multiplexed else client.send(line.data))

    async def _serve(
        self,
        client: Hijacked,
        container: Container,
        future: asyncio.Future[Streams],
        wishes: Wishes,
        connection: int | None,
    ) -> None:
        try:
            streams = await future
        except ShoalError:  # who started the container gets the error
            return
        attachment = Attachment(client, streams, wishes, self.engine.settings.root)
        if await attachment.run(connection) is Ending.DETACHED:
            self._publish(container, "detach")

    async def attach_socket(self, request: web.Request) -> web.StreamResponse:
        container = self.engine.containers.get(request.match_info["id"])
        wishes = _wishes(request, container, multiplexed=False)
        future = await self._join(container)
        client = _WebSocket(web.WebSocketResponse(heartbeat=30), takes_input=wishes.stdin)
        wishes = dataclasses.replace(wishes, stdin=True)  # reading is how its going away is seen
        try:
            await client.socket.prepare(request)
            self._publish(container, "attach")
            attachment = Attachment(client, await future, wishes, self.engine.settings.root)
            if await attachment.run() is Ending.DETACHED:
                self._publish(container, "detach")
        finally:
            _leave(future)
            await client.socket.close()
        return client.socket

    async def resize(self, request: web.Request) -> web.StreamResponse:
        height, width = console_size(request)
        container = self.engine.containers.get(request.match_info["id"])
        if not container.running:
            raise Conflict(f"container {container.id} is not running")
        self.engine.runtime.resize(container.id, height, width)
        size = {"height": str(height), "width": str(width)}
        self.engine.events.publish("container", "resize", container.id, container.attributes | size)
        return empty(200)

    def _publish(self, container: Container, action: str) -> None:
        self.engine.events.publish("container", action, container.id, container.attributes)


def _wishes(request: web.Request, container: Container, *, multiplexed: bool = True) -> Wishes:
    tty = container.config.tty
    keys = parse_keys(request.query.get("detachKeys") or DEFAULT)
    outputs = {stream for stream, name in ((1, "stdout"), (2, "stderr")) if flag(request, name)}
    return Wishes(
        multiplexed=multiplexed and not tty,
        stdin=flag(request, "stdin") and container.config.open_stdin,
        outputs={1} if tty and outputs else outputs,
        half_close=container.config.stdin_once and not tty,
        keys=keys if tty else b"",
    )


def _leave(future: asyncio.Future[Streams]) -> None:
    """Give up streams that nobody served."""
    if not future.cancel() and future.exception() is None:
        future.result().close()


class _WebSocket:
    """A web socket as an attachment's client: binary messages, streams mixed."""

    def __init__(self, socket: web.WebSocketResponse, *, takes_input: bool) -> None:
        self.socket = socket
        self._takes_input = takes_input

    async def read(self) -> bytes:
        """The next message that is not empty. Raises ConnectionResetError at its end: it cannot be closed by half."""
        while True:
            message = await self.socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                raise ConnectionResetError("the web socket was closed")
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            if data and self._takes_input:
                return bytes(data)

    async def send(self, data: bytes) -> None:
        await self.socket.send_bytes(data)

    async def frame(self, stream: int, data: bytes) -> None:
        await self.send(data)
