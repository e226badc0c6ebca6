"""Published ports of services: every address of this host leads to the service's ready tasks in turn."""

from __future__ import annotations

from functools import partial

from worker.network import balance, conntrack
from worker.network.balance import Backends, Front
from worker.network.namespaces import NamespaceThreads
from worker.network.nft import Nft


class Ingress:
    def __init__(self, table: str, threads: NamespaceThreads) -> None:
        self._table = table
        self._threads = threads
        self._nft = Nft()
        self._shown: dict[Front, Backends] | None = None

    async def program(self, wanted: dict[Front, Backends]) -> None:
        """The full set of ports. What an earlier daemon programmed stays until the first call."""
        before = self._shown or {}
        script = balance.changes(self._table, before, wanted)
        if self._shown is None:
            script = balance.port_table(self._table) + script
        if script:
            self._nft.apply(script)
        self._shown = wanted
        if lost := balance.gone(before, wanted):
            await self._threads.run(partial(conntrack.forget_udp, lost))

    def close(self) -> None:
        self._nft.close()
