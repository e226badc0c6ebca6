"""What every endpoint of the Engine API shares: reading requests, writing answers, streaming, hijacking.

An endpoint module has `routes(engine) -> list[RouteDef]`; its handlers raise common.errors and return JSON through here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from common.errors import InvalidArgument, TooLarge
from common.parse import parse_json

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_BODY = 16 << 20  # bytes of a JSON body
ENGINE_API = "1.51"  # newest version that is served
MIN_API = "1.40"

_encode = msgspec.json.Encoder(order="sorted").encode
VERSION: web.RequestKey[tuple[int, int]] = web.RequestKey("api-version", tuple)


def answer(value: Any, status: int = 200) -> web.Response:
    """A JSON answer; Structs are written in Docker's spelling."""
    return web.Response(body=_encode(value), status=status, content_type="application/json")


def empty(status: int = 204) -> web.Response:
    return web.Response(status=status)


async def body(request: web.Request, kind: type[T]) -> T:
    """The request's JSON body as `kind`. Raises InvalidArgument (an empty body is {}), TooLarge."""
    if (request.content_length or 0) > MAX_BODY:
        raise TooLarge(f"the request's body is larger than {MAX_BODY} bytes")
    data = await request.read()
    if data and request.content_type not in ("application/json", "text/plain", "application/octet-stream"):
        raise InvalidArgument(f"unsupported content type {request.content_type!r}: send application/json")
    return parse_json(data or b"{}", kind)


def version(request: web.Request) -> tuple[int, int]:
    """The API version that the client asked for by its path, (1, 51) where it named none."""
    return request.get(VERSION) or (1, 51)


def flag(request: web.Request, name: str, default: bool = False) -> bool:
    """A boolean query parameter as Docker reads it: absent → default; "", 0, no, false, none → False; else True."""
    text = request.query.get(name)
    return default if text is None else text.strip().lower() not in ("", "0", "no", "false", "none")


def number(request: web.Request, name: str, default: int | None = None) -> int | None:
    text = request.query.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid value {text!r} of parameter {name!r}: a whole number is needed") from None


async def stream(
    request: web.Request,
    chunks: AsyncIterator[bytes],
    content_type: str = "application/json",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """A chunked answer, flushed chunk by chunk; ends quietly when the client goes away."""
    response = web.StreamResponse(status=status, headers={"Content-Type": content_type, **(headers or {})})
    await response.prepare(request)
    try:
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except ConnectionResetError:
        pass
    return response


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
    return Hijacked(reader, writer)


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
