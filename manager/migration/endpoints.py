"""`POST /shoal/v1/cluster/migrate`: move the cluster's state; `GET /shoal/v1/cluster/store`: where it lies."""

from __future__ import annotations

import secrets

import msgspec
from aiohttp import web

from common import http
from common.errors import Conflict, InvalidArgument, Unavailable
from common.model import Node
from common.settings import Settings
from common.store_address import check_store
from manager.migration.following import PATH
from manager.migration.places import Place, present_place
from manager.store.base import View
from manager.store.move import Left, Move
from manager.store.store import StateStore

MIGRATE = "/shoal/v1/cluster/migrate"


class Wish(msgspec.Struct, frozen=True):
    store: str = ""
    prefix: str = ""


class Migration:
    """`settings` are the node's own, not those of the present store."""

    def __init__(self, store: StateStore, settings: Settings, node_id: str) -> None:
        self._store = store
        self._settings = settings
        self._node_id = node_id
        self._place = present_place(settings)

    def routes(self) -> list[web.RouteDef]:
        return [*self.peer_routes(), web.post(MIGRATE, self.migrate)]

    def peer_routes(self) -> list[web.RouteDef]:
        """For the other managers."""
        return [web.get(PATH, self.where)]

    async def where(self, _: web.Request) -> web.Response:
        return http.answer(self._place)

    async def migrate(self, request: web.Request) -> web.Response:
        """Answers the Place to which the managers go now; they serve from there in a moment."""
        wish = await http.body(request, Wish)
        place = Place(wish.store, "" if wish.store == "raft" else wish.prefix or self._settings.store_prefix)
        _check(place, self._place)
        await self._store.barrier()
        members = voters(self._store.view(), self._node_id)
        move = Move(
            store=place.store,
            prefix=place.prefix,
            token=secrets.token_hex(8),
            number=max(self._place.number, self._store.view().revision) + 1,
            members=members if place.store == "raft" else {},
        )
        if place.store == "raft":
            await self._store.move(move)
        else:
            await self._to_etcd(move)
        return http.answer(Place(move.store, move.prefix, move.number))

    async def _to_etcd(self, move: Move) -> None:
        from manager.etcd.opening import etcd_client
        from manager.etcd.seeding import release, reserve

        async with etcd_client(self._settings, move.store) as client:
            await reserve(client, move.prefix, move.token)
            try:
                await self._store.move(move)
            except Left:  # another move was first; after any other failure this one may still commit
                await release(client, move.prefix, move.token)
                raise


def voters(view: View, node_id: str) -> dict[str, str]:
    """All managers and where they listen. Raises Unavailable where one is away: it could not come along."""
    managers = [node for node in view.all(Node) if node.spec.role == "manager"]
    for node in managers:
        status = node.manager_status
        if node.id != node_id and (status is None or status.reachability != "reachable"):
            raise Unavailable(
                f"manager {node.description.hostname or node.id} does not answer, and would be left behind: "
                "bring it back, or demote it, before the cluster's state moves",
                ("node", node.id),
            )
    return {node.id: node.manager_status.addr if node.manager_status else "" for node in managers}


def _check(wish: Place, present: Place) -> None:
    check_store(wish.store, wish.prefix)
    if "memory" in (wish.store, present.store):
        raise InvalidArgument("a store in memory neither comes nor goes: it is for tests")
    if wish.store == "raft" and present.store == "raft":
        raise Conflict("the cluster's state is kept by its managers already")
    if (wish.store, wish.prefix) == (present.store, present.prefix):
        raise Conflict(f"the cluster's state lies in {present.store} below {present.prefix} already")
