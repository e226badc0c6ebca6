"""Request bodies as streams of any size, for endpoints that take archives."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from common.errors import InvalidArgument

_CHUNK = 1 << 18


async def upload(request: web.Request) -> AsyncIterator[bytes]:
    """The body in chunks. Raises InvalidArgument where it breaks off: what came is not complete."""
    try:
        async for chunk in request.content.iter_chunked(_CHUNK):
            yield chunk
    except (ConnectionError, HttpProcessingError) as error:
        raise InvalidArgument(f"the upload broke off: {error}") from None
