"""The networks of one node by id and name, local ones and the cluster's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from common.errors import Conflict, InvalidArgument, NotFound
from worker.network.live import LiveNetwork
from worker.network.rtnl import Subnet


class Catalog:
    def __init__(self) -> None:
        self._by_id: dict[str, LiveNetwork] = {}

    def __iter__(self) -> Iterator[LiveNetwork]:
        return iter(list(self._by_id.values()))

    def add(self, network: LiveNetwork) -> None:
        """Names of local networks are told apart by `check_free`; a cluster's network may share one's name."""
        self._by_id[network.id] = network

    def drop(self, network: LiveNetwork) -> None:
        self._by_id.pop(network.id, None)

    def get(self, id: str) -> LiveNetwork | None:
        return self._by_id.get(id)

    def find(self, reference: str) -> LiveNetwork:
        """By id, name ("default" is the bridge), or the beginning of an id. Raises NotFound, InvalidArgument (ambiguous)."""
        name = "bridge" if reference == "default" else reference
        present = {id: network for id, network in self._by_id.items() if not network.leaving}
        if found := present.get(name) or _named(name, present.values()):
            return found
        matches = [n for n in present.values() if reference and n.id.startswith(reference)]
        if len(matches) > 1:
            raise InvalidArgument(f"network {reference} is ambiguous ({len(matches)} matches found on ID prefix)")
        if not matches:
            raise NotFound(f"network {reference} not found", ("network", reference))
        return matches[0]

    def check_free(self, name: str) -> None:
        """Raises Conflict where a network has the name."""
        if _named(name, self._by_id.values()):
            raise Conflict(f"network with name {name} already exists", ("network", name))

    def subnets(self) -> Iterator[Subnet]:
        for network in self._by_id.values():
            yield from network.subnets

    def of_container(self, container_id: str) -> Iterator[LiveNetwork]:
        return (network for network in self if container_id in network.endpoints)


def _named(name: str, networks: Iterable[LiveNetwork]) -> LiveNetwork | None:
    """The local network of that name, else the cluster's."""
    return min((n for n in networks if n.name == name), key=lambda network: network.cluster, default=None)
