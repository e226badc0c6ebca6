"""Passing questions that are not ours on to upstream resolvers, and their answers back.

The client's transport is kept: a cut answer by UDP goes back cut, and the client asks again by TCP. Every question has a
socket and a port of its own.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from worker.network import dns_wire, namespaces
from worker.network.namespaces import NamespaceThreads

_TIMEOUT = 2.0  # seconds for one server to answer: the usual client gives up after five
_ROUNDS = 2
_TRY_NEXT = (dns_wire.SERVFAIL, dns_wire.NOTIMP, dns_wire.REFUSED)


class Upstream(msgspec.Struct, frozen=True):
    """A resolver. `at_home`: asked from the daemon's namespace (the host's own loopback), else from the container's."""

    address: str
    at_home: bool = False


class Forwarder:
    """For one sandbox. Remembers which server answered, and asks that one first."""

    def __init__(self, path: Path, upstreams: Sequence[Upstream], threads: NamespaceThreads) -> None:
        self._path = path
        self._upstreams = list(upstreams)
        self._threads = threads

    async def ask(self, query: bytes, *, udp: bool) -> bytes | None:
        """The answer with the query's id, None where no server gives one."""
        refusal = None
        sent = secrets.token_bytes(2) + query[2:]
        for upstream in self._upstreams * _ROUNDS:
            response = await self._try(upstream, sent, udp=udp)
            if response and dns_wire.rcode(response) not in _TRY_NEXT:
                self._prefer(upstream)
                return query[:2] + response[2:]
            refusal = response or refusal
        return query[:2] + refusal[2:] if refusal else None

    async def _try(self, upstream: Upstream, query: bytes, *, udp: bool) -> bytes | None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                sock = await self._open(upstream, udp=udp)
                with sock:
                    await asyncio.get_running_loop().sock_connect(sock, (upstream.address, 53))
                    return await (_by_udp(sock, query) if udp else _by_tcp(sock, query))
        except (OSError, TimeoutError):
            return None

    async def _open(self, upstream: Upstream, *, udp: bool) -> socket.socket:
        make = partial(_socket, upstream.address, udp=udp)
        if upstream.at_home:
            return make()
        return await self._threads.run(partial(namespaces.run_in, self._path, make), undo=socket.socket.close)

    def _prefer(self, upstream: Upstream) -> None:
        self._upstreams.sort(key=lambda other: other != upstream)


def _socket(address: str, *, udp: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


async def _by_udp(sock: socket.socket, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, query)
    while True:
        response = await loop.sock_recv(sock, 65535)
        if dns_wire.matches(query, response):
            return response


async def _by_tcp(sock: socket.socket, query: bytes) -> bytes | None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, len(query).to_bytes(2, "big") + query)
    size = int.from_bytes(await _exactly(sock, 2), "big")
    response = await _exactly(sock, size)
    return response if dns_wire.matches(query, response) else None


async def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(sock, size - len(data))
        if not part:
            raise ConnectionResetError("the resolver closed the connection")
        data += part
    return data
