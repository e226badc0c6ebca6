"""Nodes: list, inspect, change role, availability and labels, remove."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from msgspec.structs import replace

from common import http
from common.errors import Conflict, InvalidArgument, VersionConflict
from common.filters import Filters
from common.model import Node, NodeSpec
from manager.api import shapes
from manager.api.context import Context
from manager.api.lookup import find
from manager.ca import removal
from manager.store.base import Change, Put, View
from manager.validation.names import check_labels

FILTERS = ("id", "label", "node.label", "membership", "name", "role")


class Nodes:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/nodes", self.list),
            web.get("/nodes/{id}", self.inspect),
            web.post("/nodes/{id}/update", self.update),
            web.delete("/nodes/{id}", self.remove),
        ]

    async def list(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"), FILTERS)
        _check_filters(filters)
        return http.answer([shapes.node(node) for node in self._context.view.all(Node) if _wanted(node, filters)])

    async def inspect(self, request: web.Request) -> web.Response:
        return http.answer(shapes.node(self._find(self._context.view, request)))

    async def update(self, request: web.Request) -> web.Response:
        spec = await http.body(request, NodeSpec)
        seen = http.required_number(request, "version")
        _check(spec)

        def build(view: View) -> tuple[Sequence[Change], None]:
            node = self._find(view, request)
            if seen != node.version.index:
                raise VersionConflict("update out of sequence", ("node", node.id))
            if node.spec.role == "manager" and spec.role == "worker":
                refuse_demotion(view, node)
            return [Put(replace(node, spec=spec))], None

        await self._context.transact(build)
        return http.empty(200)

    async def remove(self, request: web.Request) -> web.Response:
        force = http.flag(request, "force")

        def build(view: View) -> tuple[Sequence[Change], None]:
            node = self._find(view, request)
            if node.spec.role == "manager" or node.manager_status is not None:
                raise InvalidArgument(
                    f"node {node.id} is a cluster manager and is a member of the raft cluster. "
                    "It must be demoted to worker before removal"
                )
            if node.status.state == "ready" and not force:
                raise Conflict(f"node {node.id} is not down and can't be removed")
            return removal.removed(view, node), None

        await self._context.transact(build)
        return http.empty(200)

    def _find(self, view: View, request: web.Request) -> Node:
        name = request.match_info["id"]
        return find(view, Node, self._context.node_id if name == "self" else name)


def _check(spec: NodeSpec) -> None:
    check_labels(spec.labels)
    if spec.role not in ("worker", "manager"):
        raise InvalidArgument(f"invalid Role: {spec.role!r}: use worker or manager")
    if spec.availability not in ("active", "pause", "drain"):
        raise InvalidArgument(f"invalid Availability: {spec.availability!r}: use active, pause or drain")


def refuse_demotion(view: View, node: Node) -> None:
    """Raises where the managers that would be left could not decide anything."""
    others = [other for other in view.all(Node) if other.spec.role == "manager" and other.id != node.id]
    if not others:
        raise InvalidArgument("attempting to demote the last manager of the swarm")
    reachable = [o for o in others if o.manager_status is not None and o.manager_status.reachability == "reachable"]
    if len(reachable) <= len(others) // 2:
        raise Conflict(
            f"without manager {node.id} there would be {len(others)} managers, of whom {len(reachable)} can be reached: "
            "that is no majority, and nothing could be decided any more. Bring other managers back, or demote them, first",
            ("node", node.id),
        )


def _check_filters(filters: Filters) -> None:
    for name, known in (("role", ("worker", "manager")), ("membership", ("accepted", "pending"))):
        for value in filters.values(name):
            if value not in known:
                raise InvalidArgument(f"Invalid {name} filter: '{value}'")


def _wanted(node: Node, filters: Filters) -> bool:
    names = (node.description.hostname, node.spec.name)
    prefixes = filters.values("name")
    return (
        filters.prefix("id", node.id)
        and (not prefixes or any(name.startswith(prefix) for prefix in prefixes for name in names if name))
        and filters.exact("role", node.spec.role)
        and filters.exact("membership", "accepted")
        and filters.labels(node.description.engine.labels)
        and filters.labels(node.spec.labels, "node.label")
    )
