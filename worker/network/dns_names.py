"""Who has which name on which network: containers of this node and services of the cluster. Pure.

A name may have several owners on one network (a shared alias): all their addresses answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

import msgspec

from common.wire import ServiceEndpoint
from worker.network.records import Endpoint

Address = IPv4Address | IPv6Address


class Zone(msgspec.Struct, frozen=True):
    """A network as names see it."""

    id: str
    name: str


class NameTable:
    """Names by network. Containers come and go one by one, services as a whole set per network."""

    def __init__(self) -> None:
        self._containers: dict[str, dict[str, dict[str, tuple[Address, ...]]]] = {}  # network, name, container
        self._owners: dict[str, dict[Address, str]] = {}  # network → address → the container's name
        self._services: dict[str, dict[str, tuple[Address, ...]]] = {}

    def add(self, container_id: str, endpoint: Endpoint) -> None:
        addresses = tuple(ip_interface(text).ip for text in (endpoint.ipv4, endpoint.ipv6) if text)
        names = self._containers.setdefault(endpoint.network_id, {})
        for name in endpoint.dns_names:
            names.setdefault(name.lower(), {})[container_id] = addresses
        if endpoint.dns_names:
            owners = self._owners.setdefault(endpoint.network_id, {})
            owners.update(dict.fromkeys(addresses, endpoint.dns_names[0]))

    def remove(self, container_id: str, endpoint: Endpoint) -> None:
        names = self._containers.get(endpoint.network_id, {})
        for name in (name.lower() for name in endpoint.dns_names):
            owners = names.get(name, {})
            owners.pop(container_id, None)
            if not owners:
                names.pop(name, None)
        for text in (endpoint.ipv4, endpoint.ipv6):
            if text:
                self._owners.get(endpoint.network_id, {}).pop(ip_interface(text).ip, None)

    def set_services(self, endpoints: Iterable[ServiceEndpoint]) -> None:
        """Replace all services' names."""
        services: dict[str, dict[str, dict[Address, None]]] = {}
        for endpoint in endpoints:
            names = services.setdefault(endpoint.network_id, {})
            for name, addresses in _service_names(endpoint):
                names.setdefault(name.lower(), {}).update(dict.fromkeys(addresses))
        self._services = {
            network: {name: tuple(found) for name, found in names.items()} for network, names in services.items()
        }

    def resolve(self, name: str, zones: Sequence[Zone]) -> list[Address] | None:
        """The addresses of a lower-case name on any of the networks; None where nobody has it.

        "name.network" asks on that network only.
        """
        found: list[Address] | None = None
        for zone in zones:
            inner = name.removesuffix("." + zone.name.lower())
            for candidate in {name, inner}:
                here = self._lookup(zone.id, candidate)
                if here is not None:
                    found = [*(found or []), *here]
        return list(dict.fromkeys(found)) if found is not None else None

    def reverse(self, address: Address, zones: Sequence[Zone]) -> str | None:
        for zone in zones:
            if owner := self._owners.get(zone.id, {}).get(address):
                return f"{owner}.{zone.name}"
        return None

    def _lookup(self, network: str, name: str) -> list[Address] | None:
        containers = self._containers.get(network, {}).get(name)
        service = self._services.get(network, {}).get(name)
        if containers is None and service is None:
            return None
        return [*(a for addresses in (containers or {}).values() for a in addresses), *(service or ())]


def _service_names(endpoint: ServiceEndpoint) -> Iterator[tuple[str, list[Address]]]:
    """A service's own names lead to its VIP, or to its tasks where it has none; tasks.NAME and SLOT.NAME to the tasks."""
    ready = [backend for backend in endpoint.backends if backend.ready and backend.address]
    tasks = [ip_address(backend.address) for backend in ready]
    front = [ip_address(endpoint.vip)] if endpoint.vip else tasks
    for name in (endpoint.service_name, *endpoint.aliases):
        yield name, front
        yield f"tasks.{name}", tasks
    for backend, address in zip(ready, tasks, strict=True):
        if backend.slot:
            yield f"{backend.slot}.{endpoint.service_name}", [address]
        for name in (backend.container_name, *backend.aliases):
            if name:
                yield name, [address]
