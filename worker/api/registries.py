"""Endpoints that ask registries: pull, push, /distribution, search."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from aiohttp import web

from common import http
from common.errors import InvalidArgument, ShoalError
from common.filters import Filters
from common.reference import Reference, parse_reference
from worker.engine.node import Engine


def routes(engine: Engine) -> list[web.RouteDef]:
    """To be added before the images' own, whose names match almost everything."""
    endpoints = _Endpoints(engine)
    return [
        web.get("/images/search", endpoints.search),
        web.post("/images/{name:.+}/push", endpoints.push),
        web.get("/distribution/{name:.+}/json", endpoints.describe),
    ]


@dataclass(frozen=True)
class _Endpoints:
    engine: Engine

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Without a tag all of the repository's are pushed."""
        from worker.distribution.credentials import read_header

        reference = _reference(request.match_info["name"], request.query.get("tag", ""))
        credentials = read_header(request.headers, reference.domain)
        return await _told(request, self.engine.distribution.push(reference, credentials))

    async def describe(self, request: web.Request) -> web.Response:
        from worker.distribution.credentials import read_header

        reference = parse_reference(request.match_info["name"])
        credentials = read_header(request.headers, reference.domain)
        return http.answer(await self.engine.distribution.describe(reference, credentials))

    async def search(self, request: web.Request) -> web.Response:
        from worker.distribution.credentials import read_header
        from worker.distribution.search import FILTERS

        term = request.query.get("term", "")
        if not term:
            raise InvalidArgument("the parameter 'term' is needed: what to search for")
        filters = Filters.parse(request.query.get("filters"), FILTERS)
        credentials = read_header(request.headers, term.split("/")[0] if "/" in term else "docker.io")
        limit = http.number(request, "limit") or 0
        return http.answer(await self.engine.distribution.search(term, credentials, filters, limit))


async def pull(engine: Engine, request: web.Request) -> web.StreamResponse:
    """POST /images/create?fromImage=…: without any tag all of the repository's."""
    from worker.distribution.credentials import read_header

    reference = _reference(request.query["fromImage"], request.query.get("tag", ""))
    credentials = read_header(request.headers, reference.domain)
    platform = request.query.get("platform", "")
    every = not (reference.tag or reference.digest)
    return await _told(request, engine.distribution.pull(reference, credentials, platform=platform, every_tag=every))


def _reference(name: str, tag: str) -> Reference:
    """`tag` may be a digest, too."""
    reference = parse_reference(name)
    if not tag:
        return reference
    if ":" in tag:
        return replace(parse_reference(f"{reference}@{tag}"), tag="")
    return parse_reference(f"{replace(reference, tag='', digest='')}:{tag}")


async def _told(request: web.Request, messages: AsyncGenerator[dict[str, Any], None]) -> web.StreamResponse:
    """What fails before the first message is an HTTP error, later it is a message."""
    async with aclosing(messages):
        async with http.while_connected(request):
            first = await anext(messages, None)
        lines = (line(**message) async for message in messages)
        return await http.stream(request, failing_late(line(**first) if first else b"", lines), whole=True)


def line(**fields: object) -> bytes:
    return msgspec.json.encode(fields) + b"\r\n"


async def failing_late(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The answer's head has been sent: an error can only be one more line."""
    if first:
        yield first
    try:
        async for text in rest:
            yield text
    except ShoalError as error:
        yield line(errorDetail={"message": error.message}, error=error.message)
