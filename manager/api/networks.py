"""The cluster's networks (overlay): create, list, inspect, remove. Those of one node are its worker's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiohttp import web
from msgspec.structs import replace

from common import http
from common.errors import Conflict, Forbidden
from common.filters import Filters
from common.ids import object_id
from common.model import Network, NetworkInspect, NetworkSpec, Node, Service, Task
from common.moments import moment
from manager.allocator import networks as allocation
from manager.api.context import Context
from manager.api.lookup import find
from manager.api.network_users import peers, services
from manager.bootstrap import predefined
from manager.loops.slots import live
from manager.store.base import Change, Delete, Put, View
from manager.validation.network import check_network

PRUNE_FILTERS = ("until", "label", "label!")
FILTERS = ("driver", "id", "label", "name", "scope", "type", "dangling")


class Networks:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/networks", self.list),
            web.post("/networks/create", self.create),
            web.post("/networks/prune", self.prune),
            web.get("/networks/{id}", self.inspect),
            web.delete("/networks/{id}", self.remove),
        ]

    async def list(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"), FILTERS)
        view = self._context.view
        shown = [n for n in view.all(Network) if not predefined(n) and _wanted(view, n, filters)]
        return http.answer([inspected(network) for network in shown])

    async def inspect(self, request: web.Request) -> web.Response:
        view = self._context.view
        network = find(view, Network, request.match_info["id"])
        shown = replace(inspected(network), peers=peers(view, network))
        if http.flag(request, "verbose"):
            shown = replace(shown, services=services(view, network))
        return http.answer(shown)

    async def create(self, request: web.Request) -> web.Response:
        given = await http.body(request, NetworkSpec)
        id = object_id()

        def build(view: View) -> tuple[Sequence[Change], None]:
            if view.find(Network, "name", given.name.lower()):
                raise Conflict(f"network with name {given.name} already exists", ("network", given.name))
            check_network(view, given)
            network = Network(id=id, spec=replace(given, scope="swarm"))
            # Allocated at once where it can be, so that the creator sees its subnet.
            return [Put(allocation.complete(view, network) or network)], None

        await self._context.transact(build)
        return http.answer({"Id": id, "Warning": ""}, 201)

    async def remove(self, request: web.Request) -> web.Response:
        def build(view: View) -> tuple[Sequence[Change], None]:
            network = find(view, Network, request.match_info["id"])
            if predefined(network):
                raise Forbidden(f"{network.spec.name} is a pre-defined network and cannot be removed")
            _check_unused(view, network)
            return [Delete(network)], None

        await self._context.transact(build)
        return http.empty(204)

    async def prune(self, request: web.Request) -> web.Response:
        """Remove the networks that nothing is on; the ingress network stays."""
        filters = Filters.parse(request.query.get("filters"), PRUNE_FILTERS)

        def build(view: View) -> tuple[Sequence[Change], list[str]]:
            gone = [n for n in view.all(Network) if n.spec.driver == "overlay" and _prunable(view, n, filters)]
            return [Delete(network) for network in gone], [network.spec.name for network in gone]

        return http.answer({"NetworksDeleted": await self._context.transact(build)})


def inspected(network: Network) -> NetworkInspect:
    """A network in the shape of GET /networks/{id}."""
    spec = network.spec
    options = dict(spec.options)
    if network.vni:
        options[allocation.VNI_OPTION] = str(network.vni)
    return NetworkInspect(
        name=spec.name,
        id=network.id,
        created=network.created_at,
        scope="swarm",
        driver=spec.driver,
        enable_ipv4=spec.enable_ipv4 is not False,
        enable_ipv6=bool(spec.enable_ipv6),
        ipam=network.ipam,
        internal=spec.internal,
        attachable=spec.attachable,
        ingress=spec.ingress,
        options=options,
        labels=spec.labels,
    )


def _check_unused(view: View, network: Network) -> None:
    if network.spec.ingress:
        users = [s.spec.name for s in view.all(Service) if any(p.publish_mode == "ingress" for p in s.endpoint.ports)]
        if users:
            raise Forbidden(f"ingress network cannot be removed because service {users[0]} depends on it")
    services = [service.spec.name for service in view.find(Service, "network", network.id)]
    if services:
        raise Forbidden(f"network {network.id} is in use by service {services[0]}", ("network", network.id))
    tasks = [task for task in view.find(Task, "network", network.id) if live(task) and not task.status.state.terminal]
    if tasks:
        raise Forbidden(f"network {network.id} is in use by task {tasks[0].id}", ("network", network.id))
    for node, container in _guests(view, network):
        raise Forbidden(
            f"network {network.id} is in use by container {container[:12]} on node {node.description.hostname}",
            ("network", network.id),
        )


def _prunable(view: View, network: Network, filters: Filters) -> bool:
    limits = map(moment, filters.values("until"))
    return (
        not network.spec.ingress
        and _unused(view, network)
        and filters.labels(network.spec.labels)
        and all(network.created_at.timestamp() * 1e9 < limit for limit in limits)
    )


def _unused(view: View, network: Network) -> bool:
    try:
        _check_unused(view, network)
    except Forbidden:
        return False
    return True


def _wanted(view: View, network: Network, filters: Filters) -> bool:
    return (
        filters.match("name", network.spec.name)
        and filters.match("id", network.id)
        and filters.exact("driver", network.spec.driver)
        and filters.exact("scope", "swarm")
        and filters.exact("type", "custom")
        and filters.labels(network.spec.labels)
        and filters.flag("dangling") in (None, not _tasks_or_guests(view, network))
    )


def _tasks_or_guests(view: View, network: Network) -> bool:
    return bool(view.find(Task, "network", network.id) or [*_guests(view, network)])


def _guests(view: View, network: Network) -> Iterator[tuple[Node, str]]:
    """(node, container)"""
    for node in view.find(Node, "network", network.id):
        yield from ((node, guest.container_id) for guest in node.guests if guest.network_id == network.id)
