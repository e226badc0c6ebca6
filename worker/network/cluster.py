"""The cluster's networks on this node: overlay networks as bridges, service addresses, names and published ports.

Follows what the control plane says (ClusterNetworks of base.py) and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from common.errors import Conflict
from common.model import Network
from common.wire import ServiceEndpoint
from worker.network import balance
from worker.network.balance import Backends, Front
from worker.network.catalog import Catalog
from worker.network.dns_names import NameTable
from worker.network.ingress import Ingress
from worker.network.ipam import overlap_of
from worker.network.live import LiveNetwork
from worker.network.registry import Registry
from worker.network.vips import Vips


class Cluster:
    def __init__(self, catalog: Catalog, registry: Registry, names: NameTable, vips: Vips, ingress: Ingress) -> None:
        self._catalog = catalog
        self._registry = registry
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
        if known and known.model.ipam == model.ipam and known.model.spec == model.spec:
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

    async def program(self, endpoints: Sequence[ServiceEndpoint]) -> None:
        self._names.set_services(endpoints)
        await self._ingress.program(published_ports(endpoints))
        await self._vips.program(vips_by_network(endpoints))


def published_ports(endpoints: Iterable[ServiceEndpoint]) -> dict[Front, Backends]:
    """Ports in ingress mode and where they lead; without ready tasks they lead nowhere, and connections are refused."""
    found: dict[Front, Backends] = {}
    for endpoint in endpoints:
        addresses = _ready(endpoint)
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
