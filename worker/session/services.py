"""What the control plane decided about networks, brought to this node: VIPs, DNS names and published ports of services.

A network itself is made known when a task that needs it is prepared (host.py), and forgotten here when it is neither
assigned nor in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from common.errors import ShoalError
from common.wire import Assignments, ServiceEndpoint
from worker.network.base import ClusterNetworks

RETRY = 2.0  # seconds before a change that failed is tried again

log = structlog.get_logger()


class ServiceNetworks:
    """Programs the latest set only: sets that are overtaken while one is being programmed are skipped."""

    def __init__(self, networks: ClusterNetworks, in_use: Callable[[], set[str]]) -> None:
        self._networks = networks
        self._in_use = in_use
        self._wanted = Assignments()
        self._changed = asyncio.Event()
        self._known: set[str] = set()
        self._programmed: dict[str, ServiceEndpoint] | None = None

    def update(self, assignments: Assignments) -> None:
        self._wanted = assignments
        self._changed.set()

    def look_again(self) -> None:
        """A task is gone, and with it perhaps the last need of a network."""
        self._changed.set()

    async def run(self) -> None:
        """Follow the updates, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._apply(self._wanted)
            except (ShoalError, OSError) as error:
                log.error("service networks could not be programmed", error=str(error))
                await asyncio.sleep(RETRY)
                self._changed.set()

    async def _apply(self, wanted: Assignments) -> None:
        for network in wanted.networks.values():
            if network.id not in self._known:
                await self._networks.ensure(network)
                self._known.add(network.id)
        if wanted.endpoints != self._programmed:
            await self._networks.program(list(wanted.endpoints.values()))
            self._programmed = wanted.endpoints
        for network_id in self._known - wanted.networks.keys() - self._in_use():
            await self._networks.forget(network_id)
            self._known.discard(network_id)
