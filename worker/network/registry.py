"""Taking networks in and letting them go: record, bridge and firewall in the order that a kill at any point allows.

The record is the first thing there and the last one gone: a new daemon makes whole again whatever has one.
"""

from __future__ import annotations

from common.errors import Forbidden
from worker.network.bridges import Bridges
from worker.network.catalog import Catalog
from worker.network.firewall import Firewall
from worker.network.live import LiveNetwork
from worker.network.records import Records


class Registry:
    def __init__(self, records: Records, catalog: Catalog, bridges: Bridges, firewall: Firewall) -> None:
        self._records = records
        self._catalog = catalog
        self._bridges = bridges
        self._firewall = firewall

    async def add(self, network: LiveNetwork) -> None:
        """All or nothing. A local network gets its bridge now, the cluster's with its first sandbox."""
        self._catalog.add(network)
        try:
            self._records.save_network(network.model, cluster=network.cluster)
            if not network.cluster:
                await self._bridges.realise(network, fresh=True)
            self._firewall.add_network(network.rules)
        except BaseException:
            # A bridge that could not be realised is somebody else's interface: it stays.
            if network.index:
                await self._bridges.unrealise(network)
            self._drop(network)
            raise

    async def remove(self, network: LiveNetwork) -> None:
        """Raises Forbidden while a sandbox is on it. Its subnets stay in use until everything is gone."""
        _refuse_active(network)
        network.leaving = True
        try:
            await self._bridges.unrealise(network)
        except BaseException:
            network.leaving = False
            raise
        self._firewall.remove_network(network.rules)
        self._drop(network)

    def _drop(self, network: LiveNetwork) -> None:
        self._records.remove_network(network.id, cluster=network.cluster)
        self._catalog.drop(network)


def _refuse_active(network: LiveNetwork) -> None:
    if network.endpoints:
        shown = (f'name:"{e.name}" id:"{e.endpoint_id[:12]}"' for e in network.inspect().containers.values())
        raise Forbidden(
            f"error while removing network: network {network.name} has active endpoints ({', '.join(shown)})",
            ("network", network.id),
        )
