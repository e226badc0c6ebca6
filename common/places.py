"""Worker → manager: places of users' containers (guests) on the cluster's networks, over POST and DELETE /shoal/v1/guests.

Unlike tasks, guests are not the control plane's; but their addresses are, so that they never meet a task's.
"""

from __future__ import annotations

import msgspec

from common.errors import Forbidden
from common.model import Guest, Network

PATH = "/shoal/v1/guests"


def not_attachable(reference: str, name: str) -> Forbidden:
    """In the words that Docker's users know."""
    return Forbidden(
        f"Could not attach to network {reference}: rpc error: code = PermissionDenied desc = "
        f"network {name} not manually attachable",
        ("network", reference),
    )


class PlaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`network` by name or id; `addresses` are wishes, without prefix length."""

    node_id: str
    container_id: str
    network: str
    addresses: list[str] = []


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the network as the node has to make it known, and the addresses that were given."""

    network: Network
    guest: Guest


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """The container left the network with this id."""

    node_id: str
    container_id: str
    network_id: str
