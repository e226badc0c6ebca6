"""The cluster's networks on this node: overlay networks as bridges, service addresses, names and published ports.

Follows what the control plane says (ClusterNetworks of base.py) and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from common.errors import Conflict
from common.model import Network
from common.wire import ServiceEndpoint
from worker.network import balance
from worker.network.balance import Backends, Front
from worker.network.bridges import Bridges
from worker.network.catalog import Catalog
from worker.network.dns_names import NameTable
from worker.network.firewall import Firewall
from worker.network.ingress import Ingress
from worker.network.ipam import overlap_of
from worker.network.live import LiveNetwork
from worker.network.records import Records
from worker.network.vips import Vips


class Cluster:
    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bridges: Bridges,
        firewall: Firewall,
        names: NameTable,
        vips: Vips,
        ingress: Ingress,
    ) -> None:
        self._records = records
        self._catalog = catalog
        self._bridges = bridges
        self._firewall = firewall
        self._names = names
        self._vips = vips
        self._ingress = ingress

    def ensure(self, model: Network) -> None:
        """Make the network known; its bridge comes with the first sandbox. Idempotent; Conflict where a subnet is in use."""
        known = self._catalog.get(model.id)
        if known and known.model.ipam == model.ipam and known.model.spec == model.spec:
            return
        if known:
            self._refuse_active(known)
            self._catalog.drop(known)
            self._firewall.remove_network(known.rules)
        network = LiveNetwork(model, cluster=True)
        if overlap := overlap_of(network.subnets, self._catalog.subnets()):
            raise Conflict(
                f"subnet {overlap} of the cluster's network {network.name} is in use on this node: "
                "remove the local network that uses it",
                ("network", model.id),
            )
        self._records.save_network(model, cluster=True)
        self._catalog.add(network)
        self._firewall.add_network(network.rules)

    async def forget(self, network_id: str) -> None:
        """Idempotent; Conflict while a sandbox is on it."""
        network = self._catalog.get(network_id)
        if network is None or not network.cluster:
            return
        self._refuse_active(network)
        self._catalog.drop(network)
        self._firewall.remove_network(network.rules)
        await self._bridges.unrealise(network)
        self._records.remove_network(network_id, cluster=True)

    async def program(self, endpoints: Sequence[ServiceEndpoint]) -> None:
        self._names.set_services(endpoints)
        await self._ingress.program(published_ports(endpoints))
        await self._vips.program(vips_by_network(endpoints))

    def _refuse_active(self, network: LiveNetwork) -> None:
        if network.endpoints:
            raise Conflict(f"network {network.name} has active endpoints on this node", ("network", network.id))


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
