"""Service VIPs: balanced in the namespace of each container that asks, so that source addresses and hairpins stay right.

A namespace learns of a VIP when its resolver first hands that VIP out, before the answer goes; from then on changes reach
it at once. All other namespaces follow in the background at a small share of one core: a hundred tasks that start
together would otherwise have each namespace changed a hundred times.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import structlog

from worker.network import balance, conntrack, namespaces, nft
from worker.network.balance import Backends, Front
from worker.network.namespaces import NamespaceThreads
from worker.network.nft import NftError

log = structlog.get_logger()

_TABLE = "shoal_vip"
_IDLE_SHARE = 9  # the background rests this many times as long as it works

Fronts = Mapping[Front, Backends]


class _Client(msgspec.Struct):
    """One sandbox: what its namespace has (None: not known), which fronts it uses."""

    path: Path
    networks: Sequence[str]
    shown: Fronts | None = None
    used: set[Front] = msgspec.field(default_factory=set)
    lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


class Vips:
    def __init__(self, threads: NamespaceThreads) -> None:
        self._threads = threads
        self._wanted: Mapping[str, Fronts] = {}
        self._clients: dict[str, _Client] = {}
        self._stale = asyncio.Event()

    def open(self, container_id: str, path: Path, networks: Sequence[str]) -> None:
        """`networks`: ids of the sandbox's networks."""
        self._clients[container_id] = _Client(path, networks)
        self._stale.set()

    def change(self, container_id: str, networks: Sequence[str]) -> None:
        if client := self._clients.get(container_id):
            client.networks = networks
            self._stale.set()

    def close(self, container_id: str) -> None:
        self._clients.pop(container_id, None)

    async def program(self, wanted: Mapping[str, Fronts]) -> None:
        """Fronts by network, all of them. Namespaces that use a changed front have it when this returns."""
        self._wanted = wanted
        self._stale.set()
        await self._update([c for c in list(self._clients.values()) if self._is_urgent(c)])

    def pending(self, container_id: str, addresses: Iterable[str]) -> bool:
        """True where the sandbox must be made ready before it may learn one of these addresses."""
        client = self._clients.get(container_id)
        if client is None:
            return False
        fronts = map(balance.vip_front, addresses)
        asked = {front for front in fronts if self._backends(client, front) is not None}
        client.used |= asked
        return bool(asked) and self._is_urgent(client)

    async def make_ready(self, container_id: str) -> None:
        if client := self._clients.get(container_id):
            await self._update([client])

    async def run(self) -> None:
        """Bring the namespaces that nobody waits for up to date, for ever."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            for client in list(self._clients.values()):
                if self._is_stale(client):
                    began = time.monotonic()
                    await self._update([client])
                    await asyncio.sleep((time.monotonic() - began) * _IDLE_SHARE)

    def _backends(self, client: _Client, front: Front) -> Backends | None:
        found = (self._wanted.get(network, {}).get(front) for network in client.networks)
        return next((backends for backends in found if backends is not None), None)

    def _fronts(self, client: _Client) -> Fronts:
        merged: dict[Front, Backends] = {}
        for network in client.networks:
            merged.update(self._wanted.get(network, {}))
        return merged

    def _is_stale(self, client: _Client) -> bool:
        return (client.shown or {}) != self._fronts(client)

    def _is_urgent(self, client: _Client) -> bool:
        shown = client.shown or {}
        return any(shown.get(front) != self._backends(client, front) for front in client.used)

    async def _update(self, clients: Sequence[_Client]) -> None:
        for client in clients:
            async with client.lock:
                wanted = self._fronts(client)
                if (client.shown or {}) != wanted:
                    await self._apply(client, wanted)
                    client.shown = wanted

    async def _apply(self, client: _Client, wanted: Fronts) -> None:
        """By the difference; where that fails (privileged containers may have changed their own rules) from scratch."""
        before = client.shown or {}
        rebuild = balance.vip_table(_TABLE) + balance.changes(_TABLE, {}, wanted)
        change = rebuild if client.shown is None else balance.changes(_TABLE, before, wanted)
        gone = balance.gone(before, wanted)
        try:
            await self._threads.run(partial(namespaces.run_in, client.path, partial(_apply, change, rebuild, gone)))
        except FileNotFoundError:
            pass  # closed meanwhile
        except (NftError, OSError) as error:
            log.warning("service addresses could not be set", sandbox=client.path.name, error=str(error))


def _apply(change: str, rebuild: str, gone: set[str]) -> None:
    try:
        nft.apply_here(change)
    except NftError:
        nft.apply_here(rebuild)
    conntrack.forget_udp(gone)
