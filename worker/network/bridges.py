"""Realising networks on this node: a bridge with the subnets' gateways, made when first needed.

An overlay network is a bridge here, too; what connects it with other nodes' bridges is added to it by its own module.
"""

from __future__ import annotations

import hashlib
from functools import partial

from worker.network import plumbing
from worker.network.ipam import mac_of
from worker.network.live import LiveNetwork
from worker.network.namespaces import NamespaceThreads


class Bridges:
    def __init__(self, threads: NamespaceThreads) -> None:
        self._threads = threads

    async def realise(self, network: LiveNetwork, *, fresh: bool = False) -> int:
        """Make the network's bridge, or repair it, once; return its index. `fresh`: Conflict where its name is in use."""
        async with network.lock:
            if not network.index:
                gateways = network.gateways
                mac = mac_of(gateways[0].ip) if gateways else _mac_of_id(network.id)
                make = partial(plumbing.make_bridge, network.options, gateways, mac, fresh=fresh)
                network.index = await self._threads.run(make)
            return network.index

    async def unrealise(self, network: LiveNetwork) -> None:
        """Idempotent."""
        async with network.lock:
            network.index = 0
            await self._threads.run(partial(plumbing.remove_link, network.options.interface))


def _mac_of_id(network_id: str) -> str:
    return "02:42:" + hashlib.sha256(network_id.encode()).digest()[:4].hex(":")
