"""What both HTTP servers (the Engine API's and the manager's) share: reading requests, answering, errors, streams.

An endpoint raises common.errors and answers through here; nothing but Docker's {"message": …} ever reaches a client as an error.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from common.errors import InvalidArgument, NoSpace, ShoalError, TooLarge
from common.parse import parse_json

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_BODY = 16 << 20  # bytes of a JSON body
BACKLOG = 4096  # connections that may wait for a manager: all nodes of a large cluster may come at once
LARGE_BODY = 2 << 30  # bytes of a cluster's whole state
_LOOK = 1.0  # seconds between looks whether a silent stream's client is still there
_BEGUN: web.RequestKey[web.StreamResponse] = web.RequestKey("begun", web.StreamResponse)

_GONE = 499  # the status of an answer that nobody is there to read
_STREAMS: web.AppKey[set[asyncio.Timeout]] = web.AppKey("streams", set)

log = structlog.get_logger()
_encode = msgspec.json.Encoder(order="sorted").encode


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


async def large_body(request: web.Request, limit: int = LARGE_BODY) -> bytes:
    """The request's body, which may be larger than JSON's. Raises TooLarge."""
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > limit:
            raise TooLarge(f"the request's body is larger than {limit} bytes")
    return bytes(data)


def flag(request: web.Request, name: str, default: bool = False) -> bool:
    """A boolean query parameter as Docker reads it: absent → default; "", 0, no, false, none → False; else True."""
    text = request.query.get(name)
    return default if text is None else text.strip().lower() not in ("", "0", "no", "false", "none")


def number(request: web.Request, name: str, default: int | None = None) -> int | None:
    """A whole number among the query parameters. Raises InvalidArgument."""
    text = request.query.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid value {text!r} of parameter {name!r}: a whole number is needed") from None


def required_number(request: web.Request, name: str) -> int:
    """The same for a parameter that must be given."""
    value = number(request, name)
    if value is None:
        raise InvalidArgument(f"parameter {name!r} is missing: a whole number is needed")
    return value


async def stream(
    request: web.Request,
    chunks: AsyncGenerator[bytes, None],
    content_type: str = "application/json",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    whole: bool = False,
) -> web.StreamResponse:
    """A chunked answer, flushed chunk by chunk; ends quietly, and closes `chunks`, when the client goes away.

    When the server stops, the answer is ended, unless it is `whole`: then it is cut, so that no client takes a part for all.
    """
    response = web.StreamResponse(status=status, headers={"Content-Type": content_type, **(headers or {})})
    await response.prepare(request)
    try:
        with suppress(_Stopping):
            async with while_connected(request), aclosing(chunks):
                async for chunk in chunks:
                    await response.write(chunk)
                whole = False
        if whole and request.transport is not None:
            request.transport.abort()
        await response.write_eof()
    except ConnectionResetError:
        pass
    return response


class _Stopping(Exception):
    """The server stops."""


@asynccontextmanager
async def while_connected(request: web.Request) -> AsyncIterator[None]:
    """Leave the block by ConnectionResetError when the client goes away, also where nothing is written for long.

    When the server stops, the block is left by an exception that `stream` knows.
    """
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)
    open_streams = request.app[_STREAMS]
    timer: asyncio.TimerHandle | None = None

    def look() -> None:
        nonlocal timer
        if _is_gone(request):
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(_LOOK, look)

    timer = loop.call_later(_LOOK, look)
    open_streams.add(limit)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        if limit not in open_streams:
            raise _Stopping from None
        raise ConnectionResetError("the client went away") from None
    finally:
        open_streams.discard(limit)
        timer.cancel()


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into an answer."""
    try:
        return await handler(request)
    except ShoalError as error:
        return _failure(request, error.message, error.status)
    except web.HTTPException as error:
        return _failure(request, _sentence(request, error), error.status)
    except Exception as error:
        if isinstance(error, ConnectionError) and _is_gone(request):
            begun: web.StreamResponse | None = request.get(_BEGUN)
            if begun is None or isinstance(begun, web.WebSocketResponse):  # of which the handshake may be what failed
                return web.Response(status=_GONE)
            return begun
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return _failure(request, f"no space left on device: {error.filename or 'the data folder'}", NoSpace.status)
        log.exception("request failed", path=request.path)
        return _failure(request, f"internal error: {type(error).__name__}: {error}", 500)


def application() -> web.Application:
    """An application without routes, whose errors and streams are those of this module."""
    app = web.Application(middlewares=[errors], client_max_size=MAX_BODY)
    app[_STREAMS] = set()
    app.on_response_prepare.append(_note_begun)
    app.on_shutdown.append(_end_streams)
    return app


async def _note_begun(request: web.Request, response: web.StreamResponse) -> None:
    """What fails after the head went out can only be cut short."""
    request[_BEGUN] = response


async def _end_streams(app: web.Application) -> None:
    now = asyncio.get_running_loop().time()
    while app[_STREAMS]:
        app[_STREAMS].pop().reschedule(now)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _failure(request: web.Request, message: str, status: int) -> web.StreamResponse:
    begun: web.StreamResponse | None = request.get(_BEGUN)
    if begun is None:
        return answer({"message": message}, status)
    log.error("answer cut short", path=request.path, error=message)
    if request.transport is not None:
        request.transport.abort()  # its head is out: a client must not take what it got for the whole answer
    return begun


def _sentence(request: web.Request, error: web.HTTPException) -> str:
    if error.status == 404:
        return "page not found"
    if error.status == 413:
        return f"the request's body is larger than {MAX_BODY} bytes"
    return f"{request.method} {request.path}: {error.reason}"
