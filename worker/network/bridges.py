"""Realising networks on this node: a bridge with the subnets' gateways, made when first needed.

What connects the bridge of one of the cluster's networks with other nodes' bridges (overlays.py) comes and goes with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial

from worker.network import plumbing
from worker.network.ipam import mac_of
from worker.network.live import LiveNetwork
from worker.network.namespaces import NamespaceThreads
from worker.network.overlays import Overlays
from worker.network.plumbing import Bridge
from worker.network.rtnl import Interface


class Bridges:
    def __init__(self, threads: NamespaceThreads, overlays: Overlays) -> None:
        self._threads = threads
        self._overlays = overlays

    async def realise(self, network: LiveNetwork, *, fresh: bool = False) -> int:
        """Make the network's bridge, or repair it, once; return its index. `fresh`: Conflict where its name is in use."""
        async with network.lock:
            return await self._realise(network, fresh=fresh)

    async def follow(self, networks: Iterable[LiveNetwork]) -> None:
        """Bring those that are realised to what is known of other nodes now."""
        for network in networks:
            async with network.lock:
                if network.index:
                    await self._realise(network, fresh=False)

    async def unrealise(self, network: LiveNetwork) -> None:
        """Idempotent."""
        async with network.lock:
            await self._unrealise(network)

    async def rest(self, network: LiveNetwork) -> None:
        """The same where no container is on the network."""
        async with network.lock:
            if network.index and not network.endpoints:
                await self._unrealise(network)

    async def _realise(self, network: LiveNetwork, *, fresh: bool) -> int:
        own = self._overlays.own(network) if network.cluster else None
        if not network.index or network.own != own:
            network.mtu = await self._overlays.mtu(network)
            network.index = await self._threads.run(partial(plumbing.make_bridge, _bridge(network, own, fresh=fresh)))
            network.own = own
        if network.cluster:
            await self._overlays.connect(network)
        return network.index

    async def _unrealise(self, network: LiveNetwork) -> None:
        network.index, network.own = 0, None
        await self._overlays.disconnect(network)
        await self._threads.run(partial(plumbing.remove_link, network.options.interface))


def _bridge(network: LiveNetwork, own: tuple[Interface, ...] | None, *, fresh: bool) -> Bridge:
    """A node with an address of its own on the network takes in under the MAC address that follows from it, as others expect."""
    gateways = network.gateways
    mac = mac_of((own or gateways)[0].ip) if own or gateways else _mac_of_id(network.id)
    return Bridge(
        name=network.options.interface,
        mac=mac,
        mtu=network.mtu,
        addresses=(*gateways, *(own or ())),
        fresh=fresh,
        exact=own is not None,
    )


def _mac_of_id(network_id: str) -> str:
    return "02:42:" + hashlib.sha256(network_id.encode()).digest()[:4].hex(":")
