"""Nodes are down only after a full grace period of silence, of which the judge heard every second."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest

from common import wire
from common.errors import NotFound, Unavailable
from common.model import Guest, Node, NodeDescription, NodeStatus
from common.wire import Hello
from manager.dispatcher.liveness import LOOKS, Liveness, rhythm
from manager.dispatcher.standing import PATIENCE, Standing
from manager.store.base import Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from tests.unit.dispatcher.objects import CLUSTER

GRACE = 5.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeOthers:
    """Another manager leads; it can be cut off."""

    def __init__(self) -> None:
        self.leading: str | None = "10.0.0.1:2377"
        self.told: list[list[str]] = []
        self.cut = False

    def leader(self) -> str | None:
        return self.leading

    async def pass_on(self, nodes: Sequence[str]) -> None:
        if self.cut:
            raise Unavailable("cut off")
        self.told.append([*nodes])

    async def has_session(self, node_id: str, instance: str) -> bool:
        return False

    def log(self, node_id: str, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None]:
        raise NotFound("none")


class World:
    """A judge with a clock of its own; `look` lets time pass as the judge's loop does, `freeze` as a stopped process."""

    def __init__(self, store: StateStore) -> None:
        self.store = store
        self.clock = Clock()
        self.others = FakeOthers()
        self.standing = Standing(store, self.clock)
        self.liveness = Liveness(store, self.clock, self.others, self.standing)

    def look(self, seconds: float, *heard: str) -> dict[str, NodeStatus]:
        found: dict[str, NodeStatus] = {}
        for _ in range(round(seconds / GRACE * LOOKS)):
            self.clock.now += GRACE / LOOKS
            for node in heard:
                self.liveness.beat(node)
            self.liveness.wake(GRACE)
            found |= self.liveness.judge(self.store.view(), GRACE)
        return found

    def freeze(self, seconds: float) -> dict[str, NodeStatus]:
        self.clock.now += seconds
        self.liveness.wake(GRACE)
        return self.liveness.judge(self.store.view(), GRACE)

    async def put(self, **status: str) -> None:
        node = self.store.view().get(Node, "n")
        version = node.version if node else Node(id="n").version
        await self.store.commit([Put(Node(id="n", version=version, status=NodeStatus(**status)))])


DOWN = {"n": NodeStatus(state="down", message="heartbeat failure", addr="10.0.0.9")}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_store(MemoryLog()) as opened:
        made = World(opened)
        await made.put(state="ready", addr="10.0.0.9")
        assert made.liveness.judge(opened.view(), GRACE) == {}
        yield made


async def test_silence_since_the_start_counts_from_the_start(world: World) -> None:
    assert world.look(GRACE - 0.25) == {}
    assert world.look(0.25) == DOWN


async def test_a_beat_keeps_a_node_up_and_its_end_is_found_within_the_grace(world: World) -> None:
    assert world.look(100, "n") == {}
    assert world.look(GRACE - 0.25) == {}
    assert world.look(0.25) == DOWN


async def test_what_another_manager_heard_counts_as_much(world: World) -> None:
    for _ in range(20):
        world.liveness.hear(["n"])
        assert world.look(2.5) == {}


async def test_a_node_that_is_heard_again_is_ready_again(world: World) -> None:
    await world.put(state="down", message="x")
    assert world.look(1) == {}
    assert world.look(0.25, "n") == {"n": NodeStatus(state="ready")}


async def test_a_new_leader_gives_every_node_a_full_grace(world: World) -> None:
    world.look(4.75)
    world.liveness.give_all()
    assert world.look(GRACE - 0.25) == {}
    assert world.look(0.25) == DOWN


async def test_a_node_that_was_down_does_not_rise_with_a_new_leader(world: World) -> None:
    await world.put(state="down")
    world.liveness.give_all()
    assert world.look(20) == {}


async def test_a_judge_that_was_frozen_gives_every_node_a_full_grace(world: World) -> None:
    world.look(3, "n")
    assert world.freeze(60) == {}
    assert world.look(GRACE - 0.25) == {}
    assert world.look(0.25) == DOWN


async def test_a_manager_that_could_not_serve_gives_every_node_a_full_grace(world: World) -> None:
    world.look(1, "n")
    world.standing.bad("the disk stalls")
    assert world.look(PATIENCE + 10) == {}
    world.standing.good("the disk stalls")
    assert world.look(GRACE - 0.25) == {}
    assert world.look(0.25) == DOWN


async def test_a_node_that_joined_just_now_is_not_down_at_once(world: World) -> None:
    world.look(100, "n")
    await world.store.commit([Put(Node(id="new"))])
    assert world.look(GRACE - 0.25, "n") == {}
    assert list(world.look(0.5, "n")) == ["new"]


async def test_a_follower_passes_on_each_sign_of_life_once(world: World) -> None:
    world.liveness.beat("b")
    world.liveness.beat("a")
    await world.liveness.pass_on()
    await world.liveness.pass_on()
    assert world.others.told == [["a", "b"]]


async def test_what_the_leader_could_not_be_told_is_told_later(world: World) -> None:
    world.others.cut = True
    world.liveness.beat("a")
    with pytest.raises(Unavailable):
        await world.liveness.pass_on()
    assert world.standing.reason == ""
    world.clock.now += GRACE * 0.3
    assert world.standing.reason == "the leader does not hear of this manager's nodes"
    world.others.cut = False
    world.liveness.beat("b")
    await world.liveness.pass_on()
    assert (world.others.told, world.standing.reason) == ([["a", "b"]], "")


async def test_without_a_leader_news_wait_for_one_but_not_for_long(world: World) -> None:
    world.others.leading = None
    world.liveness.beat("a")
    await world.liveness.pass_on()
    assert world.standing.reason == ""
    world.clock.now += PATIENCE
    assert world.standing.reason
    world.others.leading = "10.0.0.1:2377"
    await world.liveness.pass_on()
    assert (world.others.told, world.standing.reason) == ([["a"]], "")


async def test_a_leader_has_nobody_to_tell(world: World) -> None:
    world.others.leading = ""
    world.liveness.beat("a")
    await world.liveness.pass_on()
    world.others.leading = "10.0.0.1:2377"
    await world.liveness.pass_on()
    assert world.others.told == []


async def test_a_session_is_told_of_before_the_node_counts_as_ready(world: World) -> None:
    world.others.cut = True
    await world.put(state="down")
    hello = Hello(node_id="n", description=NodeDescription(hostname="box"), instance="i")
    with pytest.raises(Unavailable):
        await world.liveness.arrived("n", hello, "")
    node = world.store.view().get(Node, "n")
    assert node is not None
    assert node.status.state == "down"
    world.others.cut = False
    await world.liveness.arrived("n", hello, "10.0.0.9")
    node = world.store.view().get(Node, "n")
    assert node is not None
    assert (node.description.hostname, node.status, node.instance) == (
        "box",
        NodeStatus(state="ready", addr="10.0.0.9"),
        "i",
    )
    revision = world.store.view().revision
    await world.liveness.describe("n", NodeDescription(hostname="box"))
    await world.liveness.describe("gone", NodeDescription(hostname="box"))
    assert world.store.view().revision == revision


async def test_guests_that_a_worker_no_longer_has_lose_their_places(world: World) -> None:
    node = world.store.view().get(Node, "n")
    assert node is not None
    here, gone = (Guest(container_id=name, network_id="mesh", addresses=["10.0.9.5/24"]) for name in ("here", "gone"))
    await world.store.commit([Put(Node(id="n", version=node.version, guests=[here, gone]))])
    hello = Hello(node_id="n", description=NodeDescription(), guests=["here", "new"])
    await world.liveness.arrived("n", hello, "")
    node = world.store.view().get(Node, "n")
    assert node is not None
    assert node.guests == [here]


async def test_workers_of_a_busy_manager_beat_less_often_but_often_enough(world: World) -> None:
    await world.store.commit(CLUSTER)
    assert rhythm(world.store.view(), 10) == (1.0, 2.2)
    beat, silence = rhythm(world.store.view(), 10_000)
    assert beat == pytest.approx(2.0)
    assert silence < GRACE
