"""Whether this node is where others look for it: its machine may have another address now, or a copy of it may run elsewhere.

Only judges. What follows is the membership's work (membership.py).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

import msgspec
from msgspec.structs import replace

from common.errors import InvalidArgument
from common.identity import Identity
from common.identity.tls import SERVER_NAME, peer
from worker.membership.addresses import CHOSEN, FOREIGN, Interfaces, addresses_of, joined, only_one, split

ANSWER = 2.0  # seconds that a manager at the node's address may take to show its certificate


class Finding(msgspec.Struct, frozen=True):
    """The identity as it should be. `trouble`: what is wrong, for a user. `double`: another machine is this manager."""

    identity: Identity
    trouble: str = ""
    double: bool = False


async def look(identity: Identity, interfaces: Interfaces, holder: Callable[[str], Awaitable[str]]) -> Finding:
    """`holder` tells which manager answers at host:port, by its node id; "" for none."""
    host, port = split(identity.advertise)
    if not _is_missing(host, interfaces):
        return Finding(identity)
    manages = identity.role == "manager"
    if manages and await holder(identity.advertise) == identity.node_id:
        return Finding(identity, _double(identity), double=True)
    if identity.address_kind == FOREIGN:
        return Finding(identity)
    if manages and identity.address_kind != CHOSEN:
        return Finding(identity, _lost(host, "it was told by --advertise-addr, so no other one is chosen"))
    try:
        return Finding(_moved(identity, joined(only_one(interfaces), port)))
    except InvalidArgument as error:
        return Finding(identity, _lost(host, error.message) if manages else "")


async def holder(address: str, context: ssl.SSLContext) -> str:
    """Which manager listens at host:port, by its verified certificate; "" where none does."""
    host, port = split(address)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=SERVER_NAME)
        found = peer(writer.get_extra_info("ssl_object").getpeercert())
        writer.transport.abort()
        return found.node_id if found else ""
    return ""


def _is_missing(host: str, interfaces: Interfaces) -> bool:
    """A name may lead anywhere, and the loopback is always there."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not address.is_loopback and address not in addresses_of(interfaces)


def _moved(identity: Identity, advertise: str) -> Identity:
    managers = [advertise if address == identity.advertise else address for address in identity.managers]
    return replace(identity, advertise=advertise, managers=managers)


def _double(identity: Identity) -> str:
    return (
        f"another machine is node {identity.node_id} too, and its manager runs at {identity.advertise}: this one is a copy. "
        '"docker swarm leave --force" on one of them, then let it join anew'
    )


def _lost(host: str, why: str) -> str:
    return (
        f"this machine has the address {host}, by which the other nodes reach this manager, no more: {why}. Give it the address "
        "back, or let the node leave and join anew with another --advertise-addr"
    )
