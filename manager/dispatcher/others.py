"""The cluster's other managers, as a dispatcher needs them: boundary, and the real ones over mutual TLS.

Followers pass on to the leader which nodes they heard; any manager may ask where a node's session is, and read a task's
log from there. The answering side is manager/dispatcher/peer_endpoints.py.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
import msgspec

from common import wire
from common.errors import NotFound, Unavailable
from common.identity.tls import SERVER_NAME
from manager.store.base import Store

HEARD, ALIVE, LOG = "/shoal/v1/heard", "/shoal/v1/alive", "/shoal/v1/tasks/{id}/log"
TELL = 1.0  # seconds that the leader may take to take in what was heard
ASK = 3.5  # seconds that a manager may take to say whether a node's session is alive
CONNECT = 1.0
SIZE = 4  # bytes before each chunk of a log
LARGEST = 64 << 20


class Heard(msgspec.Struct, frozen=True):
    """Ids of nodes that were heard since the last time."""

    nodes: list[str]


class Others(Protocol):
    def leader(self) -> str | None:
        """host:port of the leading manager; "" where it is this one, None where none is known."""

    async def pass_on(self, nodes: Sequence[str]) -> None:
        """Tell the leader, who is another one, that these nodes were heard. Raises Unavailable."""

    async def has_session(self, node_id: str, instance: str) -> bool:
        """Whether another manager hears another instance than this of the node. Those that do not answer count as no."""

    def log(self, node_id: str, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None]:
        """The log of the node's task that `options` name, from whoever has its session. Raises NotFound where none has."""


class NoOthers:
    """A manager alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def leader(self) -> str | None:
        return "" if self._store.is_leader() else None

    async def pass_on(self, nodes: Sequence[str]) -> None:
        raise Unavailable("there is no other manager")

    async def has_session(self, node_id: str, instance: str) -> bool:
        return False

    def log(self, node_id: str, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None]:
        raise NotFound("there is no other manager")


class RemoteOthers:
    """`leader` as above, `addresses` of all other managers (host:port), `context` for connections to them.

    Usable inside `open()`.
    """

    def __init__(
        self,
        leader: Callable[[], str | None],
        addresses: Callable[[], Sequence[str]],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        self.leader = leader
        self._addresses = addresses
        self._context = context
        self._http: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as self._http:
            yield

    async def pass_on(self, nodes: Sequence[str]) -> None:
        address = self.leader()
        if not address:
            raise Unavailable("no other manager leads")
        body = msgspec.msgpack.encode(Heard([*nodes]))
        try:
            async with asyncio.timeout(TELL), self._request("POST", address, HEARD, data=body) as response:
                if response.status != 204:
                    raise Unavailable(f"the manager at {address} does not lead: status {response.status}")
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the leader at {address} cannot be told: {error or type(error).__name__}") from None

    async def has_session(self, node_id: str, instance: str) -> bool:
        asked = (self._alive(address, node_id, instance) for address in self._addresses())
        return any(await asyncio.gather(*asked))

    async def log(self, node_id: str, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None]:
        query = {"node": node_id, "options": msgspec.json.encode(options).decode()}
        path = LOG.replace("{id}", options.task_id)
        for address in self._addresses():
            try:
                async with self._request("GET", address, path, params=query) as response:
                    if response.status != 200:
                        continue
                    async for chunk in chunks(response.content):
                        yield chunk
                    return
            except (aiohttp.ClientError, OSError):
                continue
        raise NotFound("no manager has a session with the task's node", ("task", options.task_id))

    async def _alive(self, address: str, node_id: str, instance: str) -> bool:
        query = {"node": node_id, "instance": instance}
        try:
            async with asyncio.timeout(ASK), self._request("GET", address, ALIVE, params=query) as response:
                return response.status == 204
        except (aiohttp.ClientError, OSError):
            return False

    def _request(
        self, method: str, address: str, path: str, *, data: bytes = b"", params: dict[str, str] | None = None
    ) -> aiohttp.client._RequestContextManager:
        assert self._http is not None, "used outside open()"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT)
        return self._http.request(
            method,
            f"https://{address}{path}",
            data=data or None,
            params=params,
            ssl=self._context(),
            server_hostname=SERVER_NAME,
            timeout=timeout,
        )


def framed(chunk: wire.LogChunk) -> bytes:
    data = wire.encode(chunk)
    return len(data).to_bytes(SIZE, "big") + data


async def chunks(stream: aiohttp.StreamReader) -> AsyncGenerator[wire.LogChunk, None]:
    """What `framed` made, up to and with the one that ends the log; an answer that was cut ends with a word about it."""
    try:
        while True:
            size = int.from_bytes(await stream.readexactly(SIZE), "big")
            if size > LARGEST:
                raise aiohttp.ClientPayloadError("a chunk is too large")
            chunk = msgspec.msgpack.decode(await stream.readexactly(size), type=wire.LogChunk)
            yield chunk
            if chunk.end:
                return
    except (asyncio.IncompleteReadError, aiohttp.ClientError, OSError, msgspec.MsgspecError):
        yield wire.LogChunk(id="", end=True, error="the connection to the manager of the task's node was lost")
