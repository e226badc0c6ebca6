"""What the Engine API adds to common.http: versions of the API, and taking connections over.

An endpoint module has `routes(engine) -> list[RouteDef]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import termios

from aiohttp import web

ENGINE_API = "1.51"  # newest version that is served
MIN_API = "1.40"
_FETCH = 0.05  # seconds that a client may take to fetch an answer's head
_LOOK = 0.0003  # seconds between looks whether it has
VERSION: web.RequestKey[tuple[int, int]] = web.RequestKey("api-version", tuple)


def version(request: web.Request) -> tuple[int, int]:
    """The API version that the client asked for by its path, (1, 51) where it named none."""
    return request.get(VERSION) or (1, 51)


class Hijacked(web.StreamResponse):
    """A connection that left HTTP: bytes both ways, as `docker attach` and `docker exec` use it.

    The handler returns it when it is done. `read()` gives the client's bytes (b"" at its end of input: a half-closed connection
    still takes our output), `send()` waits while the client is slow and raises ConnectionError when it is gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(status=101)
        self._reader = reader
        self._writer = writer

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing: the answer's head went out when the connection was taken over."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Flush and close, once the handler has returned."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 10)

    async def read(self) -> bytes:
        try:
            return await self._reader.read(32 * 1024)
        except OSError:
            return b""

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def frame(self, stream: int, data: bytes) -> None:
        """Docker's multiplexed frame: stream, three zero bytes, length, data."""
        await self.send(bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data)

    def is_closing(self) -> bool:
        return self._writer.is_closing()


async def hijack(request: web.Request, content_type: str) -> Hijacked:
    """Answer 101 UPGRADED (200 to clients that did not ask for it) and take the connection over; read the body before."""
    protocol, transport = request.protocol, request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    assert isinstance(transport, asyncio.Transport)
    early = protocol._message_tail  # what the client sent behind its request; aiohttp offers no other way to it
    protocol._message_tail = b""
    protocol.close()
    reader = asyncio.StreamReader(limit=1 << 20)
    taken = _HalfOpen(reader)
    transport.set_protocol(taken)
    taken.connection_made(transport)
    transport.resume_reading()
    if early:
        reader.feed_data(early)
    writer = asyncio.StreamWriter(transport, taken, reader, asyncio.get_running_loop())
    writer.write(_upgrade_head(request, content_type))
    await writer.drain()
    await _fetched(transport)
    return Hijacked(reader, writer)


async def _fetched(transport: asyncio.Transport) -> None:
    """Wait a moment until the client has fetched the head: docker-py loses what it receives together with it."""
    connection = transport.get_extra_info("socket")
    deadline = asyncio.get_running_loop().time() + _FETCH
    unread = bytearray(4)
    while asyncio.get_running_loop().time() < deadline:
        try:
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unread)
        except OSError:
            return  # it is gone, which whoever writes next is told
        if not any(unread):
            return
        await asyncio.sleep(_LOOK)


def _upgrade_head(request: web.Request, content_type: str) -> bytes:
    upgrade = "upgrade" in request.headers.get("Connection", "").lower()
    lines = ["HTTP/1.1 101 UPGRADED" if upgrade else "HTTP/1.1 200 OK", f"Content-Type: {content_type}"]
    if upgrade:
        lines += ["Connection: Upgrade", f"Upgrade: {request.headers.get('Upgrade', 'tcp')}"]
    lines.append(f"Api-Version: {ENGINE_API}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _HalfOpen(asyncio.StreamReaderProtocol):
    """Keeps our side open when the client ends its input (attach's stdin)."""

    def eof_received(self) -> bool:
        super().eof_received()
        return True
