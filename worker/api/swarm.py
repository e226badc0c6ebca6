"""The swarm endpoints that concern this node's own membership: init, join, leave, unlock, restore. The others are the manager's."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from common import http
from common.model.base import Spec
from worker.membership.lifecycle import Lifecycle


class JoinRequest(Spec, frozen=True, kw_only=True):
    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    remote_addrs: list[str] = []
    join_token: str = ""
    availability: str = "active"


class UnlockRequest(Spec, frozen=True, kw_only=True):
    unlock_key: str = ""


class Swarm:
    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/swarm/init", self.init),
            web.post("/swarm/join", self.join),
            web.post("/swarm/leave", self.leave),
            web.post("/swarm/unlock", self.unlock),
            web.post("/shoal/v1/cluster/restore", self.restore),
        ]

    async def init(self, request: web.Request) -> web.Response:
        """The manager judges what the cluster is to be; this node adds where it listens and its certificate's request."""
        return http.answer(await self._lifecycle.found(await http.body(request, dict[str, Any])))

    async def join(self, request: web.Request) -> web.Response:
        wish = await http.body(request, JoinRequest)
        await self._lifecycle.join(
            wish.remote_addrs,
            wish.join_token,
            listen=wish.listen_addr,
            advertise=wish.advertise_addr,
            data_path=wish.data_path_addr,
            availability=wish.availability or "active",
        )
        return http.empty(200)

    async def leave(self, request: web.Request) -> web.Response:
        await self._lifecycle.leave(force=http.flag(request, "force"))
        return http.empty(200)

    async def unlock(self, request: web.Request) -> web.Response:
        await self._lifecycle.unlock((await http.body(request, UnlockRequest)).unlock_key)
        return http.empty(200)

    async def restore(self, request: web.Request) -> web.Response:
        """The body is an unsealed backup; the parameters say where the restored manager is reached. Answers the node's id."""
        names = ("listen", "advertise", "dataPath")
        wishes = [request.query.get(name, "") for name in names]
        return http.answer(await self._lifecycle.restore(await http.large_body(request), *wishes))


def routes(lifecycle: Lifecycle) -> list[web.RouteDef]:
    return Swarm(lifecycle).routes()
