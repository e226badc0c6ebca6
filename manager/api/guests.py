"""Guests: users' containers on attachable networks of the cluster get their addresses here, and give them back."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from msgspec.structs import replace

from common import http, places
from common.errors import NotFound
from common.model import Guest, Network, Node
from common.places import Departure, Place, PlaceRequest, not_attachable
from manager.allocator.addresses import Addresses
from manager.api.context import Context
from manager.api.lookup import find, search
from manager.ca.guard import check_own
from manager.store.base import Change, Put, View


class Guests:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [web.post(places.PATH, self.admit), web.delete(places.PATH, self.leave)]

    async def admit(self, request: web.Request) -> web.Response:
        wish = await http.body(request, PlaceRequest)
        check_own(request, wish.node_id)

        def build(view: View) -> tuple[Sequence[Change], Place]:
            node = find(view, Node, wish.node_id)
            network = _attachable(view, wish.network)
            others = [guest for guest in node.guests if not _is(guest, wish.container_id, network.id)]
            # A place that the container has already, because its worker died before it left, is given anew.
            free = Addresses(view, network, but=wish.container_id)
            guest = Guest(
                container_id=wish.container_id, network_id=network.id, addresses=free.take_for_guest(wish.addresses)
            )
            return [Put(replace(node, guests=[*others, guest]))], Place(network=network, guest=guest)

        return http.answer(await self._context.transact(build))

    async def leave(self, request: web.Request) -> web.Response:
        """Idempotent."""
        gone = await http.body(request, Departure)
        check_own(request, gone.node_id)

        def build(view: View) -> tuple[Sequence[Change], None]:
            node = find(view, Node, gone.node_id)
            left = [guest for guest in node.guests if not _is(guest, gone.container_id, gone.network_id)]
            return [Put(replace(node, guests=left))] if left != node.guests else [], None

        await self._context.transact(build)
        return http.empty()


def _is(guest: Guest, container_id: str, network_id: str) -> bool:
    return (guest.container_id, guest.network_id) == (container_id, network_id)


def _attachable(view: View, reference: str) -> Network:
    network = search(view, Network, reference)
    if network is None or network.spec.driver != "overlay":
        raise NotFound(f"network {reference} not found", ("network", reference))
    if not network.spec.attachable:
        raise not_attachable(reference, network.spec.name)
    return network
