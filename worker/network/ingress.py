"""Published ports of services: every address of this host leads to the service's ready tasks in turn, on whatever host.

The control plane gave the ports. They are held here as containers' ports are, so that no container gets them; where one
has such a port already, the service's tasks come first.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from worker.network import balance, conntrack
from worker.network.balance import Backends, Front, Mesh
from worker.network.namespaces import NamespaceThreads
from worker.network.nft import Nft
from worker.network.ports import ANY, HostPorts


class Ingress:
    def __init__(self, table: str, ports: HostPorts, threads: NamespaceThreads) -> None:
        self._table = table
        self._ports = ports
        self._held: set[Front] = set()
        self._threads = threads
        self._nft = Nft()
        self._shown: dict[Front, Backends] | None = None
        self._mesh = Mesh()

    async def program(self, wanted: dict[Front, Backends], mesh: Mesh) -> None:
        """The full set of ports. What an earlier daemon programmed stays until the first call."""
        before = self._shown or {}
        script = balance.mesh_changes(self._table, self._mesh, mesh) + balance.changes(self._table, before, wanted)
        if self._shown is None:
            script = balance.port_table(self._table) + script
        if script:
            self._nft.apply(script)
        self._shown, self._mesh = wanted, mesh
        self._hold(wanted)
        if lost := balance.gone(before, wanted):
            await self._threads.run(partial(conntrack.forget_udp, lost))

    def _hold(self, wanted: Iterable[Front]) -> None:
        for front in self._held.difference(wanted):
            self._ports.give(front.protocol, ANY.values(), front.port)
        self._held.intersection_update(wanted)
        for front in set(wanted) - self._held:
            if self._ports.try_take(front.protocol, ANY.values(), front.port):
                self._held.add(front)

    def close(self) -> None:
        self._nft.close()
