"""One etcd cluster over its JSON gateway: all its members are tried, one after another, until one answers.

Every request here may arrive twice: what must not happen twice is the caller's to guard by compares. Watches are a
stream of their own, and end with their connection: who reads one knows from where to go on.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Self, TypeVar

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector

from common.errors import Forbidden, InvalidArgument, NoSpace, NotFound, ShoalError, Unavailable
from manager.etcd.wire import Failure, KeptAlive, KeyValue, Lease, Op, Range, Txn, Watched, WatchLine, after

T = TypeVar("T")
ATTEMPT = ClientTimeout(total=3, sock_connect=1)  # seconds
STREAM = ClientTimeout(total=None, sock_connect=1)
PAUSE = 0.2  # seconds, once no member answered
_AT_ONCE = 1 << 19  # bytes that are handed to the socket in one step
PAGE = 16  # keys at a time, of up to 1 MiB each
# A member that lost its quorum must say so, instead of keeping a watch on which nothing happens.
_HEADERS = {"Grpc-Metadata-hasleader": "true", "Content-Type": "application/json"}
_NOT_FOUND, _TOO_MUCH, _OUT_OF_RANGE = 5, 8, 11
_FINAL: dict[int, type[ShoalError]] = {3: InvalidArgument, _NOT_FOUND: NotFound, 7: Forbidden, 16: Forbidden}


class Compacted(Exception):
    """etcd does not know the wanted revision any more."""


class _Oversized(Exception):
    """The answer is larger than this gateway carries: ask for less at a time."""


class _Again(Exception):
    """This member cannot answer now; another one may."""


class Client:
    """`urls` of the members; `patience` in seconds, how long a request is tried."""

    def __init__(self, urls: Sequence[str], context: ssl.SSLContext | None = None, patience: float = 10.0) -> None:
        self._urls = list(urls)
        self._context = context
        self._patience = patience
        self._at = 0
        self._cluster = 0

    async def __aenter__(self) -> Self:
        connector = TCPConnector(ssl=self._context if self._context is not None else True, limit=0)
        self._session = ClientSession(connector=connector, headers=_HEADERS)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def range(self, key: bytes, end: bytes = b"", *, revision: int = 0, limit: int = 0) -> Range:
        """Linearizable, or as it was at `revision`. Raises Compacted."""
        body = {"key": key, "range_end": end, "revision": str(revision), "limit": str(limit)}
        return await self._call("/v3/kv/range", body, Range)

    async def pages(self, prefix: bytes, revision: int) -> list[KeyValue]:
        """All keys below `prefix` as they were at `revision`, in their order."""
        found: list[KeyValue] = []
        key, more, limit = prefix, True, PAGE
        while more:
            try:
                answer = await self.range(key, after(prefix), revision=revision, limit=limit)
            except _Oversized:
                if limit == 1:
                    raise ShoalError(
                        "etcd's gateway does not carry a single key of the store: raise its limits"
                    ) from None
                limit = max(limit // 4, 1)
                continue
            found += answer.kvs
            more = answer.more
            key = found[-1].key + b"\0" if found else key
        return found

    async def txn(self, compare: Sequence[Op], success: Sequence[Op], failure: Sequence[Op] = ()) -> Txn:
        return await self._call("/v3/kv/txn", {"compare": compare, "success": success, "failure": failure}, Txn)

    async def grant(self, ttl: int) -> Lease:
        return await self._call("/v3/lease/grant", {"TTL": str(ttl)}, Lease)

    async def keep_alive(self, lease: int) -> Lease:
        return (await self._call("/v3/lease/keepalive", {"ID": str(lease)}, KeptAlive)).result

    async def revoke(self, lease: int) -> None:
        await self._call("/v3/lease/revoke", {"ID": str(lease)}, Txn)

    async def watch(self, prefix: bytes, start: int = 0, *, puts_only: bool = False) -> AsyncGenerator[Watched, None]:
        """What happens below `prefix` from revision `start` on (0: from now), as long as the connection lasts; the first
        comes at once, without events. Raises Compacted, and Unavailable where it ended."""
        request = {"key": prefix, "range_end": after(prefix), "start_revision": str(start), "fragment": True}
        request["filters"] = ["NODELETE"] if puts_only else []
        url = self._urls[self._at]
        try:
            async with self._session.post(
                url + "/v3/watch", data=msgspec.json.encode({"create_request": request}), timeout=STREAM
            ) as response:
                async for line in _lines(response):
                    yield self._watched(line)
        except (ClientError, OSError, TimeoutError, _Again) as error:
            raise Unavailable(f"the watch on etcd {url} ended: {error}") from None
        finally:
            self._leave(url)

    def _watched(self, line: bytes) -> Watched:
        told = msgspec.json.decode(line, type=WatchLine, strict=False)
        if told.result is None:
            raise _Again(str(told.error))
        if told.result.compact_revision:
            raise Compacted
        if told.result.canceled:
            raise _Again(told.result.cancel_reason)
        self._check_cluster(told.result.header.cluster_id)
        return told.result

    async def _call(self, path: str, body: Any, kind: type[T]) -> T:
        """Raises Unavailable where no member answered in time: the request may still take effect."""
        data = msgspec.json.encode(body)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        tries = 0
        while True:
            url = self._urls[self._at]
            try:
                return await self._once(url + path, data, kind)
            except (ClientError, OSError, TimeoutError, _Again) as error:
                self._leave(url)
                tries += 1
                if loop.time() >= deadline:
                    raise self._nobody(error) from None
            if tries % len(self._urls) == 0:
                await asyncio.sleep(PAUSE)

    async def _once(self, url: str, data: bytes, kind: type[T]) -> T:
        body = data if len(data) < _AT_ONCE else io.BytesIO(data)
        async with self._session.post(url, data=body, timeout=ATTEMPT) as response:
            answer = await response.read()
            if response.status != 200:
                raise _failure(answer)
            told = msgspec.json.decode(answer, type=kind, strict=False)
            header = getattr(told, "header", None)
            self._check_cluster(header.cluster_id if header is not None else 0)
            return told

    def _check_cluster(self, cluster: int) -> None:
        if cluster and self._cluster and cluster != self._cluster:
            raise ShoalError(
                f"etcd at {', '.join(self._urls)} is another cluster than it was ({cluster:x}, not {self._cluster:x}): "
                "was it made anew or restored? The manager has to read it from the beginning"
            )
        self._cluster = self._cluster or cluster

    def _leave(self, url: str) -> None:
        if self._urls[self._at] == url:
            self._at = (self._at + 1) % len(self._urls)

    def _nobody(self, error: Exception) -> Unavailable:
        why = str(error) or type(error).__name__
        return Unavailable(
            f"no member of etcd at {', '.join(self._urls)} answers ({why}): is it running, with a quorum?"
        )


def _failure(answer: bytes) -> Exception:
    try:
        failure = msgspec.json.decode(answer, type=Failure)
    except msgspec.DecodeError:
        return _Again(answer[:200].decode(errors="replace"))
    text = str(failure.error)
    if failure.code == _OUT_OF_RANGE and "compacted" in text:
        return Compacted()
    if failure.code == _TOO_MUCH and "space exceeded" in text:
        return NoSpace("etcd's database is full: compact and defragment it, or raise its quota, then changes go on")
    if failure.code == _TOO_MUCH and "larger than max" in text:
        return _Oversized()
    if failure.code in _FINAL:
        return _FINAL[failure.code](f"etcd refused a request of the store: {text}")
    return _Again(text)


async def _lines(response: ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length."""
    if response.status != 200:
        raise _failure(await response.read())
    pending: list[bytes] = []
    async for chunk in response.content.iter_any():
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            text, pending = b"".join([*pending, line]), []
            if text:
                yield text
        pending.append(rest)
    raise _Again("the connection was closed")
