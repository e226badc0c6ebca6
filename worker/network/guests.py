"""Guests: users' containers on the cluster's networks. Their places there are the control plane's to give.

Networks of this node pass through unchanged, and tasks' containers never come here: their assignments have it all.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import structlog

from common.errors import NotFound, ShoalError
from common.model.container import EndpointIPAMConfig
from worker.network.base import Attachment, ControlPlane
from worker.network.catalog import Catalog
from worker.network.cluster import Cluster

log = structlog.get_logger()


class Guests:
    """Keeps which container holds places on which networks, from before they are asked for until they are given back."""

    def __init__(self, plane: ControlPlane, catalog: Catalog, cluster: Cluster) -> None:
        self._plane = plane
        self._catalog = catalog
        self._cluster = cluster
        self._held: dict[str, set[str]] = {}

    def containers(self) -> list[str]:
        return list(self._held)

    def networks(self) -> set[str]:
        return {network_id for held in self._held.values() for network_id in held}

    def restore(self, container_id: str, network_ids: Iterable[str]) -> None:
        """Places of an earlier daemon."""
        for network_id in network_ids:
            if (network := self._catalog.get(network_id)) is not None and network.cluster:
                self._held.setdefault(container_id, set()).add(network_id)

    async def admit(self, container_id: str, wish: Attachment) -> Attachment:
        """The wish with the network's id and the addresses that the control plane gave, and the network known here.

        Raises NotFound, Forbidden (not attachable, address in use), Conflict (no address is free), Unavailable. What it
        holds then is given back by `leave` or `leave_all`.
        """
        if self._is_local(wish.network):
            return wish
        held = self._held.setdefault(container_id, set())
        try:
            place = await self._plane.attach(container_id, wish.network, _wishes(wish))
        except BaseException:
            self._drop_empty(container_id)
            raise
        held.add(place.network.id)
        await self._cluster.ensure(place.network)
        settings = msgspec.structs.replace(wish.settings, ipam_config=_config(place.guest.addresses))
        return Attachment(network=place.network.id, settings=settings)

    async def leave(self, container_id: str, network_id: str) -> None:
        """Idempotent. Where the control plane does not hear it now, the next session tells it."""
        if network_id not in self._held.get(container_id, ()):
            return
        self._held[container_id].discard(network_id)
        self._drop_empty(container_id)
        try:
            await self._plane.detach(container_id, network_id)
        except ShoalError as error:
            log.info("a place on a network is given back later", container=container_id, error=str(error))

    async def leave_all(self, container_id: str) -> None:
        for network_id in tuple(self._held.get(container_id, ())):
            await self.leave(container_id, network_id)

    def _is_local(self, reference: str) -> bool:
        try:
            return not self._catalog.find(reference).cluster
        except NotFound:
            return False

    def _drop_empty(self, container_id: str) -> None:
        if not self._held.get(container_id):
            self._held.pop(container_id, None)


def _wishes(wish: Attachment) -> list[str]:
    config = wish.settings.ipam_config or EndpointIPAMConfig()
    return [address for address in (config.ipv4_address, config.ipv6_address) if address]


def _config(addresses: Iterable[str]) -> EndpointIPAMConfig:
    plain = [address.partition("/")[0] for address in addresses]
    return EndpointIPAMConfig(
        ipv4_address=next((address for address in plain if ":" not in address), ""),
        ipv6_address=next((address for address in plain if ":" in address), ""),
    )
