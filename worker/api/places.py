"""The network's ControlPlane over the manager's API: places of users' containers on the cluster's networks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from common import places
from common.places import Departure, Place, PlaceRequest
from worker.api.cluster import Manager
from worker.membership.membership import Membership
from worker.network.base import Here


class Places:
    """For the containers of one node."""

    def __init__(self, manager: Manager, membership: Membership) -> None:
        self._manager = manager
        self._membership = membership

    def here(self) -> Here:
        return Here(node_id=self._membership.node_id, data_path=self._membership.data_path())

    async def attach(self, container_id: str, network: str, addresses: Sequence[str]) -> Place:
        """Waits a while for a manager that is starting; see ControlPlane."""
        wish = PlaceRequest(
            node_id=self._membership.node_id, container_id=container_id, network=network, addresses=[*addresses]
        )
        answer = await self._manager.ask_any("POST", places.PATH, wish)
        return msgspec.json.decode(answer, type=Place)

    async def detach(self, container_id: str, network_id: str) -> None:
        """Does not wait: a place that is not given back now is given back with the next session."""
        gone = Departure(node_id=self._membership.node_id, container_id=container_id, network_id=network_id)
        await self._manager.ask_any("DELETE", places.PATH, gone, wait=False)
