"""The cluster's networks on this node: overlay networks as bridges that reach other nodes, service addresses, names and published ports.

Follows what the control plane says (ClusterNetworks of base.py) and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from common.errors import Conflict
from common.model import Network
from common.wire import Peer, ServiceEndpoint
from worker.network import balance
from worker.network.balance import Backends, Front, Mesh
from worker.network.base import Here
from worker.network.bridges import Bridges
from worker.network.catalog import Catalog
from worker.network.dns_names import NameTable
from worker.network.ingress import Ingress
from worker.network.ipam import overlap_of
from worker.network.live import LiveNetwork
from worker.network.overlays import Overlays
from worker.network.registry import Registry
from worker.network.vips import Vips


class Cluster:
    def __init__(
        self,
        catalog: Catalog,
        registry: Registry,
        bridges: Bridges,
        overlays: Overlays,
        names: NameTable,
        vips: Vips,
        ingress: Ingress,
        here: Callable[[], Here],
    ) -> None:
        self._catalog = catalog
        self._registry = registry
        self._bridges = bridges
        self._overlays = overlays
        self._here = here
        self._endpoints: Sequence[ServiceEndpoint] | None = None
        self._names = names
        self._vips = vips
        self._ingress = ingress
        self._changing = asyncio.Lock()

    async def ensure(self, model: Network) -> None:
        """Make the network known; its bridge comes with the first sandbox. Idempotent; Conflict where a subnet is in use.

        Forbidden where it became another one while sandboxes are on it.
        """
        async with self._changing:
            await self._ensure(model)

    async def _ensure(self, model: Network) -> None:
        known = self._catalog.get(model.id)
        if known and (known.model.ipam, known.model.spec, known.model.vni) == (model.ipam, model.spec, model.vni):
            return
        if known:
            await self._registry.remove(known)
        network = LiveNetwork(model, cluster=True)
        if overlap := overlap_of(network.subnets, self._catalog.subnets()):
            raise Conflict(
                f"subnet {overlap} of the cluster's network {network.name} is in use on this node: "
                "remove the local network that uses it",
                ("network", model.id),
            )
        await self._registry.add(network)

    async def forget_idle(self, needed: Callable[[], Collection[str]]) -> None:
        """Asked anew for each network, as long as none comes in between: whoever needs one says so before `ensure`."""
        async with self._changing:
            for network in self._catalog:
                if network.cluster and not network.endpoints and network.id not in needed():
                    await self._registry.remove(network)
            await self._rest()

    async def reach(self, peers: Sequence[Peer]) -> None:
        """A node's own address on the ingress network may be among them: ports are published anew by it."""
        self._overlays.learn(peers)
        await self._bridges.follow(network for network in self._catalog if network.cluster)
        if self._endpoints is not None:
            await self._publish(self._endpoints)

    async def program(self, endpoints: Sequence[ServiceEndpoint]) -> None:
        self._endpoints = endpoints
        self._names.set_services(endpoints)
        await self._publish(endpoints)
        await self._vips.program(vips_by_network(endpoints))

    async def _publish(self, endpoints: Sequence[ServiceEndpoint]) -> None:
        """The ingress network is realised here as long as a port is published, also where no task is on it."""
        network = self._ingress_network()
        if network is not None and any(endpoint.ports for endpoint in endpoints):
            await self._bridges.realise(network)
        mesh = self._mesh(network, endpoints)
        await self._ingress.program(published_ports(endpoints, mesh), mesh)
        await self._rest()

    async def _rest(self) -> None:
        """Every node knows the ingress network; it is realised only where it is needed."""
        network = self._ingress_network()
        if network is not None and self._endpoints is not None and not any(e.ports for e in self._endpoints):
            await self._bridges.rest(network)

    def _ingress_network(self) -> LiveNetwork | None:
        return next((n for n in self._catalog if n.cluster and n.model.spec.ingress and not n.leaving), None)

    def _mesh(self, network: LiveNetwork | None, endpoints: Sequence[ServiceEndpoint]) -> Mesh:
        here = self._here().node_id
        ingress = (endpoint for endpoint in endpoints if endpoint.ports)
        tasks = {b.address for e in ingress for b in e.backends if b.node_id == here and b.address}
        if network is None or not network.own:
            return Mesh(tasks=frozenset(tasks))
        own = tuple(str(address.ip) for address in network.own)
        return Mesh(interface=network.options.interface, own=own, tasks=frozenset(tasks))


def published_ports(endpoints: Iterable[ServiceEndpoint], mesh: Mesh) -> dict[Front, Backends]:
    """Ports in ingress mode and where they lead; without ready tasks they lead nowhere, and connections are refused."""
    found: dict[Front, Backends] = {}
    for endpoint in endpoints:
        addresses = [address for address in _ready(endpoint) if mesh.reaches(address)]
        for port in endpoint.ports:
            if port.publish_mode == "ingress" and port.published_port:
                front = balance.port_front(port.protocol, port.published_port)
                found[front] = tuple(f"{address} . {port.target_port}" for address in addresses)
    return found


def vips_by_network(endpoints: Iterable[ServiceEndpoint]) -> Mapping[str, Mapping[Front, Backends]]:
    found: dict[str, dict[Front, Backends]] = {}
    for endpoint in endpoints:
        if endpoint.vip:
            found.setdefault(endpoint.network_id, {})[balance.vip_front(endpoint.vip)] = _ready(endpoint)
    return found


def _ready(endpoint: ServiceEndpoint) -> Backends:
    """In a fixed order, so that an unchanged set reads as unchanged."""
    return tuple(sorted(backend.address for backend in endpoint.backends if backend.ready and backend.address))
