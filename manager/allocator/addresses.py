"""Addresses on one network: which are taken, and the next free one of each family. Derived from the view, never stored.

An address is taken from its task's allocation until its container has ended. Search begins behind the newest
allocation, so that a freed address rests for as long as possible.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import chain

from common.model import IPAMPool, Network, Service, Task
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

    def take(self) -> str | None:
        """The next free address with the subnet's prefix length; None where all are taken."""
        for candidate in chain(range(self._next, self._high + 1), range(self._low, self._next)):
            if candidate not in self._taken:
                self._taken.add(candidate)
                self._next = candidate + 1 if candidate < self._high else self._low
                return f"{_text(candidate, self.subnet.version)}/{self.subnet.prefixlen}"
        return None


class Addresses:
    """All addresses of one network at the moment of `view`, and what is taken from it afterwards."""

    def __init__(self, view: View, network: Network) -> None:
        self.network = network
        self._pools = [Pool(pool) for pool in network.ipam.config if pool.subnet]
        for address in _used(view, network.id):
            for pool in self._pools:
                pool.reserve(address)
        newest = max(view.find(Task, "network", network.id), key=lambda task: task.created_at, default=None)
        for text in _task_addresses(newest, network.id) if newest else ():
            for pool in self._pools:
                pool.go_on_behind(to_int(text))

    def take(self) -> list[str] | None:
        """One address of each family that the network has; None where one of them is exhausted."""
        families: dict[int, list[Pool]] = {}
        for pool in self._pools:
            families.setdefault(pool.subnet.version, []).append(pool)
        taken = [next(filter(None, (pool.take() for pool in pools)), None) for pools in families.values()]
        found = [address for address in taken if address]
        return found if found and len(found) == len(families) else None


def _used(view: View, network_id: str) -> Iterator[int]:
    for service in view.find(Service, "network", network_id):
        for vip in service.endpoint.virtual_ips:
            if vip.network_id == network_id:
                yield to_int(vip.addr)
    for task in view.find(Task, "network", network_id):
        if not task.status.state.terminal:
            yield from map(to_int, _task_addresses(task, network_id))


def _task_addresses(task: Task, network_id: str) -> Iterable[str]:
    return (address for a in task.networks_attachments if a.network_id == network_id for address in a.addresses)


def _text(number: int, version: int) -> str:
    if version == 4:
        return socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))
    return socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))
