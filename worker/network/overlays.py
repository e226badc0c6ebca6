"""What connects the bridges of the cluster's networks on different nodes: which tunnel each has here, and what is in it.

All of it follows from the peers that the control plane tells. Until it has told them, what an earlier daemon programmed stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address, ip_interface

import msgspec

from common.wire import Peer
from worker.network import forwarding, options, tunnels
from worker.network.base import Here
from worker.network.forwarding import Forwarding
from worker.network.live import LiveNetwork
from worker.network.namespaces import NamespaceThreads
from worker.network.rtnl import Interface
from worker.network.tunnels import Tunnel


class _Shown(msgspec.Struct, frozen=True):
    tunnel: Tunnel | None
    entries: Forwarding = Forwarding()


class Overlays:
    """`connect` and `disconnect` are called under the network's lock."""

    def __init__(self, threads: NamespaceThreads, here: Callable[[], Here]) -> None:
        self._threads = threads
        self._here = here
        self._peers: dict[str, list[Peer]] | None = None
        self._shown: dict[str, _Shown] = {}

    def learn(self, peers: Iterable[Peer]) -> None:
        """The full set."""
        self._peers = {}
        for peer in peers:
            self._peers.setdefault(peer.network_id, []).append(peer)

    def own(self, network: LiveNetwork) -> tuple[Interface, ...] | None:
        """This node's own addresses on the network; None while they are not known."""
        if self._peers is None:
            return None
        lengths = {subnet.version: subnet.prefixlen for subnet in network.subnets}
        return tuple(
            ip_interface(f"{address}/{lengths[ip_address(address).version]}")
            for peer in self._of(network, own=True)
            for address in peer.addresses
        )

    async def mtu(self, network: LiveNetwork) -> int:
        local = self._here().data_path
        if options.MTU in network.model.spec.options or not network.cluster or not local:
            return network.options.mtu
        return await self._threads.run(partial(tunnels.underlay_mtu, local, network.options.mtu))

    async def connect(self, network: LiveNetwork) -> None:
        """Bring the network's tunnel to what is known. The bridge is there. Idempotent."""
        if self._peers is None:
            return
        peers = self._of(network, own=False)
        shown = self._shown.get(network.id)
        tunnel = self._tunnel(network, peers, shown)
        entries = await self._threads.run(partial(forwarding.wanted, peers))
        if shown == (wanted := _Shown(tunnel, entries)):
            return
        self._shown.pop(network.id, None)  # not known until it is done
        if tunnel is None:
            await self._threads.run(partial(tunnels.remove, interface(network)))
        else:
            before = shown.entries if shown and shown.tunnel == tunnel else None
            await self._threads.run(partial(tunnels.bring, tunnel, before, entries))
        self._shown[network.id] = wanted

    async def disconnect(self, network: LiveNetwork) -> None:
        """Idempotent."""
        self._shown.pop(network.id, None)
        if network.cluster:
            await self._threads.run(partial(tunnels.remove, interface(network)))

    def _of(self, network: LiveNetwork, *, own: bool) -> list[Peer]:
        here = self._here().node_id
        return [peer for peer in (self._peers or {}).get(network.id, ()) if (peer.node_id == here) == own]

    def _tunnel(self, network: LiveNetwork, peers: list[Peer], shown: _Shown | None) -> Tunnel | None:
        """None where nobody is to be reached, or not in the clear. A tunnel whose last peer has gone stays."""
        local = self._here().data_path
        if network.encrypted or not local:
            return None
        if not peers:
            return shown.tunnel if shown else None
        return Tunnel(
            interface=interface(network),
            bridge=network.index,
            vni=network.model.vni,
            port=peers[0].port,
            local=local,
            mtu=network.mtu,
        )


def interface(network: LiveNetwork) -> str:
    """The name of the network's tunnel."""
    return f"vx-{network.id[:12]}"
