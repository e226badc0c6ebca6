"""The cluster's endpoints on a worker's socket: handed on, unchanged, to the manager of this node.

Also what other parts of the worker's API ask the manager themselves: networks of scope swarm, events, the cluster's state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec
from aiohttp import web

from common.errors import Unavailable, error_of
from common.settings import Settings
from worker.api.http import version
from worker.membership.membership import Membership

T = TypeVar("T")
_PREFIXES = ("swarm", "nodes", "services", "tasks", "secrets", "configs", "shoal/v1/cluster")
_PATIENCE = 15.0  # seconds that a request waits for a manager that does not listen yet
_RETRY = 0.05
_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length", "server", "date"}


class Manager:
    """A client of the manager's API over its UNIX socket; one per daemon, used as an async context manager.

    On a node without a manager only `ask_any` finds one.
    """

    def __init__(self, settings: Settings, membership: Membership) -> None:
        self._path = str(settings.manager_socket)
        self._membership = membership
        self._session: aiohttp.ClientSession | None = None
        self._lost = False  # it was waited for in vain: look-ups do without it at once until it answers again

    async def __aenter__(self) -> Manager:
        connector = aiohttp.UnixConnector(self._path, limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def request(self, method: str, path: str, **options: Any) -> aiohttp.client._RequestContextManager:
        """Start a request; raises Unavailable in `async with` where the manager does not answer."""
        assert self._session is not None
        return self._session.request(method, f"http://manager{path}", **options)

    async def get(self, path: str, default: Any, **params: str) -> Any:
        """The JSON at `path`, or `default` where there is no manager here, or it does not come, or it refuses."""
        if not self._membership.manages:
            return default
        try:
            return await self._patiently(lambda: self._get(path, default, params), again=not self._lost)
        except Unavailable:
            self._lost = True
            return default

    async def _get(self, path: str, default: Any, params: Mapping[str, str]) -> Any:
        async with self.request("GET", path, params=params) as response:
            data = await response.read()
        self._lost = False
        return msgspec.json.decode(data) if response.status == 200 else default

    async def ask(self, method: str, path: str, body: object = None, *, wait: bool = True, **params: str) -> bytes:
        """The answer to a request of this node itself; `body` is bytes, or becomes JSON. Raises what the manager raised, and Unavailable.

        `wait`: for a manager that is starting.
        """
        return await self._patiently(lambda: self._ask(method, path, body, params), again=wait)

    async def _ask(self, method: str, path: str, body: object, params: Mapping[str, str]) -> bytes:
        raw = isinstance(body, bytes)
        headers = {"Content-Type": "application/octet-stream" if raw else "application/json"}
        data = body if raw or body is None else msgspec.json.encode(body)
        async with self.request(method, path, data=data, headers=headers, params=params) as response:
            data = await response.read()
        if response.status >= 400:
            raise error_of(response.status, msgspec.json.decode(data)["message"])
        return data

    async def ask_any(self, method: str, path: str, body: msgspec.Struct, *, wait: bool = True) -> bytes:
        """The answer of this node's manager or, where it has none, of another node's. Raises what the manager raised."""
        if self._membership.manages:
            return await self.ask(method, path, body, wait=wait)
        return await self._membership.ask_managers(method, path, body)

    async def up(self) -> None:
        """Return once the manager answers, also one that is only being started, or none is wanted here any more."""
        while self._membership.manages:
            try:
                async with self.request("GET", "/shoal/v1/swarm-info") as response:
                    if response.status == 200:
                        return
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(_RETRY)

    async def forward(self, request: web.Request, path: str | None = None) -> web.StreamResponse:
        """Hand a client's request on and stream the answer back. Raises Unavailable, also on a node without a manager."""
        if refusal := self._membership.refusal():
            raise Unavailable(refusal)
        path = path or "/" + request.match_info["cluster_path"]
        return await self._patiently(lambda: self._forward(request, path))

    async def _patiently(self, attempt: Callable[[], Awaitable[T]], *, again: bool = True) -> T:
        """Make the attempt, `again` until a manager that is starting listens. Raises Unavailable where none comes, or where this
        node has stopped to be a manager meanwhile."""
        clock = asyncio.get_running_loop().time
        patience = clock() + _PATIENCE
        while True:
            try:
                return await attempt()
            except aiohttp.ClientConnectorError as error:
                if refusal := self._membership.refusal():
                    raise Unavailable(refusal) from None
                if not again or clock() > patience:
                    raise _unavailable(error) from None
            except (aiohttp.ClientError, OSError) as error:
                raise _unavailable(error) from None
            await asyncio.sleep(_RETRY)

    async def _forward(self, request: web.Request, path: str) -> web.StreamResponse:
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _HOP}
        headers["X-Api-Version"] = "{}.{}".format(*version(request))
        data = await request.read() if request.body_exists else None
        async with self.request(request.method, path, params=request.query, data=data, headers=headers) as response:
            return await _relay(request, response)

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """Lines of an endless answer, until either side ends it."""
        async with self.request("GET", path) as response:
            async for line in response.content:
                yield line


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"this node's manager does not answer ({error}): it starts again by itself, try again")


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, text in answer.headers.items():
        if name.lower() not in _HOP:
            response.headers[name] = text
    response.content_length = answer.content_length
    try:
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except ConnectionResetError:
        pass  # the client went away; leaving the context closes the manager's side too
    return response


def routes(manager: Manager) -> list[web.RouteDef]:
    names = "|".join(_PREFIXES)
    return [web.route("*", f"/{{cluster_path:(?:{names})(?:/.*)?}}", manager.forward)]
