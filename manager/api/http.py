"""What the manager's endpoints share: reading requests, writing answers, streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from common.errors import InvalidArgument
from common.parse import parse_json

T = TypeVar("T")
MAX_BODY = 16 << 20  # bytes of a request

_encode = msgspec.json.Encoder(order="sorted").encode


def answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type="application/json")


def empty(status: int = 200) -> web.Response:
    return web.Response(status=status)


async def body(request: web.Request, kind: type[T]) -> T:
    """The request's JSON body as `kind`; an empty body is {}. Raises InvalidArgument."""
    return parse_json(await request.read() or b"{}", kind)


def flag(request: web.Request, name: str, default: bool = False) -> bool:
    """A boolean query parameter as Docker reads it: absent → default; "", 0, no, false, none → False; else True."""
    text = request.query.get(name)
    return default if text is None else text.strip().lower() not in ("", "0", "no", "false", "none")


def number(request: web.Request, name: str) -> int:
    """A whole number that must be given. Raises InvalidArgument."""
    text = request.query.get(name, "")
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid {name} {text!r}: a whole number is needed") from None


async def stream(request: web.Request, chunks: AsyncGenerator[bytes, None], content_type: str) -> web.StreamResponse:
    """A chunked answer, flushed chunk by chunk; ends quietly when the client goes away."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
    except ConnectionResetError:
        pass
    return response
