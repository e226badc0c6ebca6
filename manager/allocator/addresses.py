"""Addresses on one network: which are taken, and the next free one of each family. Derived from the view, never stored.

An address is taken from its task's allocation until its container has ended. Search begins behind the newest
allocation, so that a freed address rests for as long as possible.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import chain

from common.errors import Conflict, Forbidden, InvalidArgument
from common.model import IPAMPool, Network, Node, Service, Task
from manager.store.base import View

Subnet = IPv4Network | IPv6Network


def to_int(address: str) -> int:
    """An address, with or without prefix length, as a number; -1 where it is none."""
    bare = address.partition("/")[0]
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6 if ":" in bare else socket.AF_INET, bare), "big")
    except OSError:
        return -1


class Pool:
    """One IPAM pool. `take()` marks what it returns as taken."""

    def __init__(self, pool: IPAMPool) -> None:
        self.subnet: Subnet = ip_network(pool.subnet)
        allowed = ip_network(pool.ip_range) if pool.ip_range else self.subnet
        self._low, self._high = int(allowed.network_address), int(allowed.broadcast_address)
        self._taken = {int(self.subnet.network_address), to_int(pool.gateway)}
        self._taken.update(map(to_int, pool.auxiliary_addresses.values()))
        if self.subnet.version == 4:
            self._taken.add(int(self.subnet.broadcast_address))
        self._next = self._low

    def reserve(self, address: int) -> None:
        self._taken.add(address)

    def go_on_behind(self, address: int) -> None:
        if self._low <= address < self._high:
            self._next = address + 1

    def has(self, address: int, version: int) -> bool:
        """Whether the address is one of this subnet."""
        low, high = int(self.subnet.network_address), int(self.subnet.broadcast_address)
        return self.subnet.version == version and low <= address <= high

    def take_this(self, address: int) -> str | None:
        """The address with the subnet's prefix length; None where it is taken. It may lie outside of the range."""
        if address in self._taken:
            return None
        self._taken.add(address)
        return f"{_text(address, self.subnet.version)}/{self.subnet.prefixlen}"

    def take(self) -> str | None:
        """The next free address with the subnet's prefix length; None where all are taken."""
        for candidate in chain(range(self._next, self._high + 1), range(self._low, self._next)):
            if candidate not in self._taken:
                self._taken.add(candidate)
                self._next = candidate + 1 if candidate < self._high else self._low
                return f"{_text(candidate, self.subnet.version)}/{self.subnet.prefixlen}"
        return None


class Addresses:
    """All addresses of one network at the moment of `view`, and what is taken from it afterwards.

    `but`: a guest whose addresses count as free.
    """

    def __init__(self, view: View, network: Network, *, but: str = "") -> None:
        self.network = network
        self._pools = [Pool(pool) for pool in network.ipam.config if pool.subnet]
        for address in _used(view, network.id, but):
            for pool in self._pools:
                pool.reserve(address)
        newest = max(view.find(Task, "network", network.id), key=lambda task: task.created_at, default=None)
        for text in _task_addresses(newest, network.id) if newest else ():
            for pool in self._pools:
                pool.go_on_behind(to_int(text))

    def take(self) -> list[str] | None:
        """One address of each family that the network has; None where one of them is exhausted."""
        taken = [_next(pools) for pools in self._families().values()]
        found = [address for address in taken if address]
        return found if found and len(found) == len(taken) else None

    def take_for_guest(self, wishes: Sequence[str]) -> list[str]:
        """The same, with the `wishes` (without prefix length) for their families.

        Raises InvalidArgument (a wish of no subnet), Forbidden (it is taken), Conflict (exhausted).
        """
        name = self.network.spec.name
        given = {6 if ":" in wish else 4: self._wished(wish) for wish in wishes}
        for version, pools in self._families().items():
            if version not in given:
                if not (address := _next(pools)):
                    raise Conflict(f"no address is free on network {name}: remove containers or use a larger subnet")
                given[version] = address
        return list(given.values())

    def _wished(self, wish: str) -> str:
        number, version = to_int(wish), 6 if ":" in wish else 4
        pool = next((pool for pool in self._pools if pool.has(number, version)), None)
        if pool is None:
            raise InvalidArgument(f"invalid address {wish}: It does not belong to any of this network's subnets")
        taken = pool.take_this(number)
        if taken is None:
            raise Forbidden(f"Address already in use: {wish}")
        return taken

    def _families(self) -> dict[int, list[Pool]]:
        families: dict[int, list[Pool]] = {}
        for pool in self._pools:
            families.setdefault(pool.subnet.version, []).append(pool)
        return families


def _next(pools: Iterable[Pool]) -> str | None:
    return next(filter(None, (pool.take() for pool in pools)), None)


def _used(view: View, network_id: str, but: str) -> Iterator[int]:
    for service in view.find(Service, "network", network_id):
        for vip in service.endpoint.virtual_ips:
            if vip.network_id == network_id:
                yield to_int(vip.addr)
    for task in view.find(Task, "network", network_id):
        if not task.status.state.terminal:
            yield from map(to_int, _task_addresses(task, network_id))
    for node in view.find(Node, "network", network_id):
        for guest in node.guests:
            if guest.network_id == network_id and guest.container_id != but:
                yield from map(to_int, guest.addresses)
        for attachment in node.attachments:
            if attachment.network_id == network_id:
                yield from map(to_int, attachment.addresses)


def _task_addresses(task: Task, network_id: str) -> Iterable[str]:
    return (address for a in task.networks_attachments if a.network_id == network_id for address in a.addresses)


def _text(number: int, version: int) -> str:
    if version == 4:
        return socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))
    return socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))
