"""Which nodes live: READY from their session on, DOWN when nothing was heard of them for a grace period.

A new manager, and a new leader, give every node a full grace period first, so that a blip restarts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from common.errors import NoSpace, Unavailable, VersionConflict
from common.model import SECOND, Cluster, Node, NodeDescription, NodeStatus
from common.wire import Hello
from manager.store.base import Put, Store, View

replace = msgspec.structs.replace

GRACE = 3  # beats that may be missed
PERIOD = 5.0  # seconds between beats where the cluster does not say


def period(view: View) -> float:
    """Seconds between a worker's signs of life."""
    cluster = next(iter(view.all(Cluster)), None)
    return cluster.spec.dispatcher.heartbeat_period / SECOND if cluster else PERIOD


class Liveness:
    """`clock` in seconds, monotonic."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._heard: dict[str, float] = {}

    def beat(self, node_id: str) -> None:
        self._heard[node_id] = self._clock()

    async def arrived(self, node_id: str, hello: Hello, address: str) -> None:
        """The node's session began: it is ready, and this is what it says of itself. Guests that it no longer has lose
        their places. `address` is empty where the connection has none. Raises Unavailable."""
        self.beat(node_id)

        def ready(node: Node) -> Node:
            status = NodeStatus(state="ready", addr=address or node.status.addr)
            guests = [guest for guest in node.guests if guest.container_id in hello.guests]
            return replace(node, description=hello.description, status=status, guests=guests)

        await self._update(node_id, ready)

    async def describe(self, node_id: str, description: NodeDescription) -> None:
        await self._update(node_id, lambda node: replace(node, description=description))

    async def run(self) -> None:
        """As leader, find the nodes that fell silent."""
        while True:
            await self._store.leadership(True)
            await self._watch()

    async def _watch(self) -> None:
        start = self._clock()
        while self._store.is_leader():
            view = self._store.view()
            wait = period(view)
            try:
                for node_id, status in self.judge(view, start, GRACE * wait).items():
                    await self._update(node_id, lambda node, status=status: replace(node, status=status), leading=True)  # type: ignore[misc]
            except (Unavailable, NoSpace):
                pass  # looked at again in a moment
            await asyncio.sleep(wait / 2)

    def judge(self, view: View, start: float, grace: float) -> dict[str, NodeStatus]:
        """Nodes whose status is not what was heard of them: silent for `grace` seconds and since `start`, or back."""
        limit = self._clock() - grace
        found = {}
        for node in view.all(Node):
            alive = self._heard.get(node.id, start) > limit
            if not alive and node.status.state != "down":
                found[node.id] = replace(node.status, state="down", message="heartbeat failure")
            elif alive and node.status.state == "down" and node.id in self._heard:
                found[node.id] = replace(node.status, state="ready", message="")
        return found

    async def _update(self, node_id: str, change: Callable[[Node], Node], *, leading: bool = False) -> None:
        """Change the node until no loop's change comes in between; nothing where it is so already, or gone."""
        while (node := self._store.view().get(Node, node_id)) is not None:
            wanted = change(node)
            if wanted == node:
                return
            try:
                await self._store.commit([Put(wanted)], leading=leading)
            except VersionConflict:
                continue
            return
