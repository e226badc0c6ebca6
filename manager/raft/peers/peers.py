"""The transport of one member: lines to the others, and the endpoints at which theirs arrive."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import structlog
from aiohttp import web

from common import http
from common.errors import Conflict, Forbidden, InvalidArgument, ShoalError, Unavailable
from manager.raft.core import Config, InstallSnapshot, Message
from manager.raft.peers.line import CONNECT, LOST, Line
from manager.raft.peers.wire import (
    LARGEST,
    OLDEST,
    PROTOCOL,
    SNAPSHOT,
    STREAM,
    Hello,
    SnapshotHead,
    Welcome,
    decode_head,
    decode_hello,
    encode,
    unpack,
)

STALLED = 30.0  # seconds in which a snapshot must make some progress
SILENT = 5.0  # seconds after which a silent stream is asked whether anybody is there
FAREWELL = 1.0  # seconds that the other side may take to close its end
UNHEARD = 3000  # ms for which what was sent may stay unacknowledged by the other's kernel
REFUSED = 4403  # the WebSocket's close code

replace = msgspec.structs.replace
log = structlog.get_logger()


class Life(msgspec.Struct, frozen=True):
    """What exists while a member runs."""

    birth: str
    deliver: Callable[[Message], None]
    lost: Callable[[str], None]
    session: aiohttp.ClientSession
    group: asyncio.TaskGroup


class Counts(msgspec.Struct):
    """Messages of unknown kinds, messages and streams that were refused, messages that did not fit a queue, and all that
    were given to lines and that came in."""

    unknown: int = 0
    refused: int = 0
    dropped: int = 0
    sent: int = 0
    received: int = 0


class Peers:
    """`context` makes the TLS context for connections to others (None: without TLS), whose certificates must be for
    `server_name`; `identify` tells which member sent a request, by its certificate."""

    def __init__(
        self,
        member: str,
        address: str,
        *,
        context: Callable[[], ssl.SSLContext | None],
        identify: Callable[[web.Request], str | None],
        server_name: str = "shoal-manager",
    ) -> None:
        self._member = member
        self._address = address
        self._context = context
        self._identify = identify
        self._server_name = server_name
        self._life: Life | None = None
        self._lines: dict[str, tuple[Line, asyncio.Task[None]]] = {}
        self._places: dict[str, tuple[str, str]] = {}  # member → (address, birth), whatever was heard last
        self._config = Config()
        self._streams: dict[web.WebSocketResponse, str] = {}  # open ones, and who sends
        self._refusals: dict[str, str] = {}  # sender → why, the last time
        self._counts = Counts()

    def routes(self) -> list[web.RouteDef]:
        return [web.get(STREAM, self._stream), web.post(SNAPSHOT, self._snapshot)]

    @property
    def counts(self) -> Counts:
        return replace(
            self._counts, dropped=self._counts.dropped + sum(line.dropped for line, _ in self._lines.values())
        )

    # -- Transport

    @asynccontextmanager
    async def run(
        self, birth: str, deliver: Callable[[Message], None], lost: Callable[[str], None]
    ) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, socket_factory=_socket)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            self._life = Life(birth, deliver, lost, session, group)
            try:
                yield
            finally:
                self._life = None
                for id in list(self._lines):
                    self._hang_up(id)
                for stream in list(self._streams):
                    await stream.close()

    def members(self, config: Config) -> None:
        heard = set(self._streams.values())
        for id in config.members:
            place = _place(config, id)
            # Who is heard at present knows best: a member that catches up meets configurations of long ago.
            if place != _place(self._config, id) and id not in heard:
                self._places[id] = place
        gone = set(self._config.members) - set(config.members)
        for stream in [stream for stream, sender in self._streams.items() if sender in gone]:
            self._living().group.create_task(_close(stream))
        self._config = config
        for id in self._lines.keys() - set(config.members):
            self._hang_up(id)

    def send(self, message: Message) -> None:
        line, _ = self._lines.get(message.to) or self._open(message.to)
        line.send(message)
        self._counts.sent += 1

    async def send_snapshot(self, message: InstallSnapshot, data: Iterator[bytes]) -> None:
        life, (address, hello) = self._living(), self._greeting(message.to)
        context = self._context()
        head = encode(SnapshotHead(hello, message))

        async def body() -> AsyncIterator[bytes]:
            yield len(head).to_bytes(4, "big") + head
            while (piece := await asyncio.to_thread(next, data, None)) is not None:
                limit.reschedule(asyncio.get_running_loop().time() + STALLED)
                yield piece

        try:
            async with asyncio.timeout(STALLED) as limit:
                async with life.session.post(
                    f"{'https' if context else 'http'}://{address}{SNAPSHOT}",
                    data=body(),
                    ssl=context or False,
                    server_hostname=self._server_name if context else None,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
                ) as response:
                    if response.status != 200:
                        raise Unavailable(f"{message.to} at {address} takes no snapshot: {await response.text()}")
        except LOST as error:
            raise Unavailable(f"the snapshot did not reach {message.to} at {address}: {error}") from error

    # -- lines

    def _open(self, id: str) -> tuple[Line, asyncio.Task[None]]:
        life = self._living()
        line = Line(life.session, lambda: self._greeting(id), self._context, self._server_name)
        self._lines[id] = line, life.group.create_task(line.run(), name=f"raft line to {id}")
        return self._lines[id]

    def _hang_up(self, id: str) -> None:
        line, task = self._lines.pop(id)
        task.cancel()
        self._counts.dropped += line.dropped

    def _greeting(self, id: str) -> tuple[str, Hello]:
        address, birth = self._places.get(id, ("", ""))
        own = self._life.birth if self._life else ""
        return address, Hello(self._member, own, self._address, id, birth)

    def _living(self) -> Life:
        if self._life is None:
            raise Unavailable(f"the manager {self._member} is starting or stopping: try again in a moment")
        return self._life

    # -- endpoints

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        life = self._living()
        stream = web.WebSocketResponse(timeout=FAREWELL, compress=False, heartbeat=SILENT, max_msg_size=LARGEST)
        await stream.prepare(request)
        self._streams[stream] = ""
        try:
            hello = await self._greeted(request, stream)
            self._streams[stream] = hello.sender
            async for frame in stream:
                if frame.type is not aiohttp.WSMsgType.BINARY:
                    break
                self._take(life, hello, frame.data)
        except (ShoalError, msgspec.MsgspecError, TypeError) as error:
            self._refuse(self._identify(request) or "", str(error))
            await stream.close(code=REFUSED, message=str(error).encode()[:120])
        except TimeoutError:
            await stream.close()
        finally:
            self._ended(stream)
        return stream

    def _ended(self, stream: web.WebSocketResponse) -> None:
        sender = self._streams.pop(stream)
        if self._life is not None and sender and sender not in self._streams.values():
            self._life.lost(sender)
            if (place := _place(self._config, sender))[0]:
                self._places[sender] = place

    def _refuse(self, sender: str, reason: str) -> None:
        self._counts.refused += 1
        if self._refusals.get(sender) != reason:
            self._refusals[sender] = reason
            log.warning("a manager's messages are refused", sender=sender, reason=reason)

    async def _greeted(self, request: web.Request, stream: web.WebSocketResponse) -> Hello:
        async with asyncio.timeout(CONNECT):
            hello = decode_hello(await stream.receive_bytes())
        self._check(request, hello)
        await stream.send_bytes(encode(Welcome(min(PROTOCOL, hello.protocol))))
        return hello

    def _take(self, life: Life, hello: Hello, frame: bytes) -> None:
        messages, unknown = unpack(frame)
        self._counts.unknown += unknown
        self._counts.received += len(messages)
        for message in messages:
            if message.sender != hello.sender:
                raise Forbidden(f"{hello.sender} sends messages in the name of {message.sender}")
            life.deliver(message)

    async def _snapshot(self, request: web.Request) -> web.Response:
        life = self._living()
        size = int.from_bytes(await request.content.readexactly(4), "big")
        if size > LARGEST:
            raise InvalidArgument(f"{size} bytes are too many for the head of a snapshot")
        head = decode_head(await request.content.readexactly(size))
        self._check(request, head.hello)
        if head.message.sender != head.hello.sender:
            raise Forbidden(f"{head.hello.sender} sends a snapshot in the name of {head.message.sender}")
        data = bytearray()
        async for piece in request.content.iter_any():
            data += piece
        life.deliver(replace(head.message, snapshot=replace(head.message.snapshot, data=bytes(data))))
        return http.answer({})

    def _check(self, request: web.Request, hello: Hello) -> None:
        """Is the sender who it says, and does it mean this member in its present life? Then remember where it is."""
        life = self._living()
        if self._identify(request) != hello.sender:
            raise Forbidden(f"the certificate is not that of {hello.sender}")
        if (hello.to, hello.to_birth) != (self._member, life.birth):
            raise Conflict(f"{hello.to} in the life {hello.to_birth!r} is not here: this is {self._member}")
        if hello.protocol < OLDEST or hello.oldest > PROTOCOL:
            raise Conflict(f"{hello.sender} speaks no Raft protocol that {self._member} knows: upgrade step by step")
        if hello.address:
            self._places[hello.sender] = hello.address, hello.birth
        if hello.sender in self._lines:
            self._lines[hello.sender][0].retry()


def _place(config: Config, id: str) -> tuple[str, str]:
    return config.addresses.get(id, ""), config.births.get(id, "")


async def _close(stream: web.WebSocketResponse) -> None:
    await stream.close()


def _socket(info: Any) -> socket.socket:
    """A connection that ends soon after the other side's machine is gone, so that a new one is tried."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD)
    return made
