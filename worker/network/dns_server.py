"""The embedded resolver: serves 127.0.0.11 in every sandbox that is on a network with names.

Names of containers and services are answered from dns_names.py, all else is passed on (dns_forward.py). The sockets live
in the sandboxes (dns_sockets.py); this loop serves them all.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from worker.network import dns_wire
from worker.network.dns_forward import Forwarder
from worker.network.dns_names import NameTable, Zone
from worker.network.dns_sockets import DnsSockets
from worker.network.dns_wire import Malformed, Query
from worker.network.vips import Vips

TTL = 2  # seconds: containers and tasks come and go
_BURST = 64  # datagrams of one sandbox before the loop looks at others
_QUESTIONS = 128  # of one sandbox under way to upstreams; more are answered with SERVFAIL
_CONNECTIONS = 32  # TCP connections of one sandbox
_ANSWERS = 1000  # addresses in one answer: what fits a TCP message
_IDLE = 10.0  # seconds a TCP connection may be silent


class _Client(msgspec.Struct):
    """One sandbox. `tasks` are its forwards and connections."""

    id: str
    sockets: DnsSockets
    zones: Sequence[Zone]
    forwarder: Forwarder
    tasks: set[asyncio.Task[None]] = msgspec.field(default_factory=set)


class DnsServer:
    """`group` owns the tasks; `stop` before leaving it."""

    def __init__(self, names: NameTable, vips: Vips, group: asyncio.TaskGroup) -> None:
        self._names = names
        self._vips = vips
        self._group = group
        self._clients: dict[str, _Client] = {}

    def serve(self, container_id: str, sockets: DnsSockets, zones: Sequence[Zone], forwarder: Forwarder) -> None:
        client = _Client(container_id, sockets, zones, forwarder)
        self._clients[container_id] = client
        loop = asyncio.get_running_loop()
        loop.add_reader(sockets.udp, self._receive, client)
        loop.add_reader(sockets.tcp, self._accept, client)

    def change(self, container_id: str, zones: Sequence[Zone], forwarder: Forwarder) -> None:
        """The container's networks changed."""
        if client := self._clients.get(container_id):
            client.zones, client.forwarder = zones, forwarder

    def is_serving(self, container_id: str) -> bool:
        return container_id in self._clients

    def stop(self, container_id: str) -> None:
        """Idempotent."""
        client = self._clients.pop(container_id, None)
        if client is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(client.sockets.udp)
        loop.remove_reader(client.sockets.tcp)
        for task in client.tasks:
            task.cancel()
        client.sockets.close()

    def stop_all(self) -> None:
        for container_id in list(self._clients):
            self.stop(container_id)

    def _receive(self, client: _Client) -> None:
        for _ in range(_BURST):
            try:
                data, address = client.sockets.udp.recvfrom(4096)
            except OSError:
                return
            response = self._answer(client, data, udp=True)
            if response is None and len(client.tasks) < _QUESTIONS:
                self._spawn(client, self._answer_later(client, data, address))
            else:
                _send(client.sockets.udp, _failure(data) if response is None else response, address)

    def _accept(self, client: _Client) -> None:
        try:
            connection, _ = client.sockets.tcp.accept()
        except OSError:
            return
        connection.setblocking(False)
        if len(client.tasks) < _CONNECTIONS:
            self._spawn(client, self._converse(client, connection))
        else:
            connection.close()

    def _answer(self, client: _Client, data: bytes, *, udp: bool) -> bytes | None:
        """The answer (empty: say nothing), or None where it takes more than looking up (`_find_out`)."""
        try:
            query = dns_wire.parse_query(data)
        except Malformed as error:
            return error.answer
        if query.kind == dns_wire.PTR and (address := dns_wire.reverse_address(query.name)):
            owner = self._names.reverse(address, client.zones)
            return _reply(query, [dns_wire.name_record(owner)], udp=udp) if owner else None
        addresses = self._names.resolve(query.name, client.zones)
        if addresses is None or self._vips.pending(client.id, map(str, addresses)):
            return None
        chosen = random.sample(addresses, min(len(addresses), _ANSWERS))
        records = [dns_wire.address_record(address) for address in chosen]
        return _reply(query, [r for r in records if query.kind in (r[0], dns_wire.ANY)], udp=udp)

    async def _find_out(self, client: _Client, data: bytes, *, udp: bool) -> bytes:
        """Make a service's address reachable before it is handed out; ask others what is not ours."""
        await self._vips.make_ready(client.id)
        answer = self._answer(client, data, udp=udp)
        if answer is None:
            answer = await client.forwarder.ask(data, udp=udp)
        return _failure(data) if answer is None else answer

    def _spawn(self, client: _Client, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        client.tasks.add(task)
        task.add_done_callback(client.tasks.discard)

    async def _answer_later(self, client: _Client, data: bytes, address: tuple[str, int]) -> None:
        _send(client.sockets.udp, await self._find_out(client, data, udp=True), address)

    async def _converse(self, client: _Client, connection: socket.socket) -> None:
        """One TCP connection: questions with their length before them, answered in order."""
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                while data := await _question(reader):
                    response = self._answer(client, data, udp=False)
                    if response is None:
                        response = await self._find_out(client, data, udp=False)
                    writer.write(len(response).to_bytes(2, "big") + response)
                    await writer.drain()
            finally:
                writer.close()
        except OSError:
            connection.close()


async def _question(reader: asyncio.StreamReader) -> bytes:
    """The next question, empty at the end or where the client is silent for too long."""
    try:
        async with asyncio.timeout(_IDLE):
            size = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, TimeoutError):
        return b""


def _reply(query: Query, records: Sequence[tuple[int, bytes]], *, udp: bool) -> bytes:
    return dns_wire.answer(query, records, ttl=TTL, udp=udp)


def _failure(data: bytes) -> bytes:
    query = dns_wire.parse_query(data)
    return dns_wire.answer(query, [], ttl=0, rcode=dns_wire.SERVFAIL, udp=True)


def _send(sock: socket.socket, data: bytes, address: tuple[str, int]) -> None:
    """A datagram that does not fit the buffer is lost, as on any network."""
    if data:
        with suppress(OSError):
            sock.sendto(data, address)
