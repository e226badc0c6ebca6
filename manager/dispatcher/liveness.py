"""Which nodes live: READY from their session on, DOWN when no manager heard of them for the grace period.

Every manager hears its own sessions; followers pass on to the leader whom they heard, and it alone judges. Whoever judges
must know that it has listened for a whole grace period: a new leader, one that was frozen and one that could not commit
give every node a full one first, so that a blip restarts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog

from common.errors import NoSpace, Unavailable, VersionConflict
from common.model import SECOND, Cluster, Node, NodeDescription, NodeStatus
from common.wire import Hello
from manager.dispatcher.node_writer import NodeWriter
from manager.dispatcher.others import Others
from manager.dispatcher.standing import Standing
from manager.store.base import Put, Store, View

replace = msgspec.structs.replace

PERIOD = 5.0  # seconds of silence after which a node is down, where the cluster does not say
BEATS = 5  # signs of life within the grace period
OFTEN = 1.0  # seconds between signs of life, at most
BUSY = 4000  # signs of life that one manager takes in a second, about
LOOKS = 20  # of the judge, within the grace period
BATCH = 100  # nodes in one commit
UNHEARD = "the leader does not hear of this manager's nodes"

log = structlog.get_logger()


def grace(view: View) -> float:
    """Seconds of silence after which a node is down."""
    cluster = next(iter(view.all(Cluster)), None)
    return cluster.spec.dispatcher.heartbeat_period / SECOND if cluster else PERIOD


def rhythm(view: View, sessions: int) -> tuple[float, float]:
    """(seconds between a worker's signs of life, seconds without an answer after which it looks for another manager)."""
    limit = grace(view)
    beat = min(max(min(limit / BEATS, OFTEN), sessions / BUSY), limit * 0.4)
    return beat, max(2.2 * beat, min(2.0, limit * 0.4))


class Liveness:
    """`clock` in seconds, monotonic."""

    def __init__(self, store: Store, clock: Callable[[], float], others: Others, standing: Standing) -> None:
        self._store = store
        self._clock = clock
        self._others = others
        self._standing = standing
        self._heard: dict[str, float] = {}
        self._news: set[str] = set()  # heard here, and not passed on yet
        self._telling = asyncio.Lock()
        self._met: dict[str, float] = {}  # nodes that were never heard: since when they are known
        self._writer = NodeWriter(store)
        self._floor = clock()  # nobody can have been silent since before that
        self._looked = clock()

    def beat(self, node_id: str) -> None:
        """A session of this manager was heard."""
        self._heard[node_id] = self._clock()
        self._news.add(node_id)

    def hear(self, nodes: Iterable[str]) -> None:
        """Other managers heard these."""
        now = self._clock()
        self._heard.update(dict.fromkeys(nodes, now))

    async def arrived(self, node_id: str, hello: Hello, address: str) -> None:
        """The node's session began: it is ready, and this is what it says of itself. Guests that it no longer has lose
        their places. `address` is empty where the connection has none. Raises Unavailable, NoSpace."""
        self.beat(node_id)
        await self.pass_on()  # the leader would take a node that it has not heard of for one that is down

        def ready(node: Node) -> Node:
            status = NodeStatus(state="ready", addr=address or _own_host(node) or node.status.addr)
            guests = [guest for guest in node.guests if guest.container_id in hello.guests]
            return replace(node, description=hello.description, status=status, guests=guests, instance=hello.instance)

        await self._writer.change(node_id, ready)

    async def describe(self, node_id: str, description: NodeDescription) -> None:
        await self._writer.change(node_id, lambda node: replace(node, description=description))

    async def run(self) -> None:
        """Pass on whom this manager heard, and as leader find the nodes that fell silent."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell(), name="pass on who was heard")
            group.create_task(self._lead(), name="judge who lives")

    # -- a follower's part

    async def _tell(self) -> None:
        while True:
            try:
                await self.pass_on()
            except Unavailable as error:
                log.debug("who was heard cannot be passed on", reason=error.message)
            await asyncio.sleep(min(grace(self._store.view()) / BEATS, OFTEN))

    async def pass_on(self) -> None:
        """Tell the leader all news. Raises Unavailable; without a known leader there is nobody to tell, for a while."""
        async with self._telling:  # whoever waits here meanwhile finds its news told
            if not self._news:
                return
            leader = self._others.leader()
            if leader is None:
                self._standing.bad(UNHEARD)
                return
            news, self._news = self._news, set()
            try:
                if leader:
                    await self._others.pass_on(sorted(news))
            except Unavailable:
                self._news |= news
                self._standing.bad(UNHEARD, grace(self._store.view()) * 0.3)
                raise
            self._standing.good(UNHEARD)

    # -- the leader's part

    async def _lead(self) -> None:
        while True:
            await self._store.leadership(True)
            self.give_all()
            self._looked = self._clock()
            while self._store.is_leader():
                await self._look()
                await asyncio.sleep(grace(self._store.view()) / LOOKS)

    def give_all(self) -> None:
        """Every node has a full grace period from now on."""
        self._floor = self._clock()

    async def _look(self) -> None:
        view = self._store.view()
        limit = grace(view)
        self.wake(limit)
        found = [*self.judge(view, limit).items()]
        try:
            for start in range(0, len(found), BATCH):
                await self._write(view, found[start : start + BATCH])
        except (Unavailable, NoSpace):
            self.give_all()  # beats may have been as stuck as this

    async def _write(self, view: View, found: Sequence[tuple[str, NodeStatus]]) -> None:
        """In one commit, or one by one where a loop changed one of the nodes in between."""
        nodes = [(view.get(Node, id), status) for id, status in found]
        try:
            await self._store.commit([Put(replace(n, status=status)) for n, status in nodes if n], leading=True)
        except VersionConflict:
            for id, status in found:
                await self._writer.alone(id, lambda node, status=status: replace(node, status=status), leading=True)  # type: ignore[misc]

    def wake(self, limit: float) -> None:
        """Look at the clock: a judge that slept much longer than it meant, or could not serve, has not listened."""
        now = self._clock()
        if now - self._looked > limit / LOOKS + limit / BEATS or self._standing.reason:
            self._floor = now
        self._looked = now

    def judge(self, view: View, limit: float) -> dict[str, NodeStatus]:
        """Nodes whose status is not what was heard of them: silent for `limit` seconds, or back."""
        now = self._clock()
        found = {}
        for node in view.all(Node):
            heard = self._heard.get(node.id, 0.0)
            if heard > now - limit and node.status.state == "ready":
                continue
            last = max(heard or self._met.setdefault(node.id, now), self._floor)
            if last <= now - limit:
                if node.status.state != "down":
                    found[node.id] = replace(node.status, state="down", message="heartbeat failure")
            elif node.status.state == "down" and heard > now - limit:
                found[node.id] = replace(node.status, state="ready", message="")
        return found


def _own_host(node: Node) -> str:
    """Of a manager, whose own session has no address."""
    return node.manager_status.addr.rpartition(":")[0].strip("[]") if node.manager_status else ""
