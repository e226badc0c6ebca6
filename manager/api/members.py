"""What this node asks of the group of managers: to let it go; and what remains to do after force."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from msgspec.structs import replace

from common import http
from common.model import Node
from manager.api.context import Context
from manager.api.nodes import refuse_demotion
from manager.ca import removal
from manager.store.base import Change, Put, View

FAREWELL = "/shoal/v1/members/farewell"
FORCED = "/shoal/v1/members/forced"  # not below a path that clients reach


class Members:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [web.post(FAREWELL, self.farewell), web.post(FORCED, self.forced)]

    async def farewell(self, _: web.Request) -> web.Response:
        """This node is about to leave: the others let it go from now on, of which only they hear. Refused where they could
        not go on."""
        id = self._context.node_id

        def build(view: View) -> tuple[Sequence[Change], None]:
            node = view.get(Node, id)
            if node is None or node.spec.role != "manager":
                return [], None
            refuse_demotion(view, node)
            return [Put(replace(node, spec=replace(node.spec, role="worker")))], None

        await self._context.transact(build)
        return http.empty()

    async def forced(self, _: web.Request) -> web.Response:
        """The quorum was lost for good: what the lost managers were is over, so that none of them comes back as one."""
        id = self._context.node_id

        def build(view: View) -> tuple[Sequence[Change], None]:
            # The group's new leader may have noted already that it knows no others.
            lost = [node for node in view.all(Node) if node.id != id and removal.role(node) == "manager"]
            return removal.removed(view, *lost), None

        await self._context.transact(build)
        return http.empty()
