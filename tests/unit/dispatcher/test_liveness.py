"""Nodes are down only after a full grace period of silence, also right after a start."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from common.model import Guest, Node, NodeDescription, NodeStatus
from common.wire import Hello
from manager.dispatcher.liveness import Liveness
from manager.store.base import Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store

GRACE = 15.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def store() -> AsyncIterator[StateStore]:
    async with open_store(MemoryLog()) as opened:
        await opened.commit([Put(Node(id="n", status=NodeStatus(state="ready", addr="10.0.0.9")))])
        yield opened


async def test_silence_since_the_start_counts_from_the_start(store: StateStore) -> None:
    clock = Clock()
    liveness, start = Liveness(store, clock), clock.now
    clock.now += GRACE - 1
    assert liveness.judge(store.view(), start, GRACE) == {}
    clock.now += 1
    assert liveness.judge(store.view(), start, GRACE) == {
        "n": NodeStatus(state="down", message="heartbeat failure", addr="10.0.0.9")
    }


async def test_a_beat_keeps_a_node_up(store: StateStore) -> None:
    clock = Clock()
    liveness, start = Liveness(store, clock), clock.now
    clock.now += 100
    liveness.beat("n")
    clock.now += GRACE - 1
    assert liveness.judge(store.view(), start, GRACE) == {}


async def test_a_node_that_is_heard_again_is_ready_again(store: StateStore) -> None:
    clock = Clock()
    liveness, start = Liveness(store, clock), clock.now
    node = store.view().get(Node, "n")
    assert node is not None
    await store.commit([Put(Node(id="n", version=node.version, status=NodeStatus(state="down", message="x")))])
    assert liveness.judge(store.view(), start, GRACE) == {}
    liveness.beat("n")
    assert liveness.judge(store.view(), start, GRACE) == {"n": NodeStatus(state="ready")}


async def test_a_session_makes_the_node_ready_and_describes_it(store: StateStore) -> None:
    liveness = Liveness(store, Clock())
    await liveness.arrived("n", Hello(node_id="n", description=NodeDescription(hostname="box")), "")
    node = store.view().get(Node, "n")
    assert node is not None
    assert (node.description.hostname, node.status.state, node.status.addr) == ("box", "ready", "10.0.0.9")
    revision = store.view().revision
    await liveness.describe("n", NodeDescription(hostname="box"))
    await liveness.describe("gone", NodeDescription(hostname="box"))
    assert store.view().revision == revision


async def test_guests_that_a_worker_no_longer_has_lose_their_places(store: StateStore) -> None:
    node = store.view().get(Node, "n")
    assert node is not None
    here, gone = (Guest(container_id=name, network_id="mesh", addresses=["10.0.9.5/24"]) for name in ("here", "gone"))
    await store.commit([Put(Node(id="n", version=node.version, guests=[here, gone]))])
    hello = Hello(node_id="n", description=NodeDescription(), guests=["here", "new"])
    await Liveness(store, Clock()).arrived("n", hello, "")
    node = store.view().get(Node, "n")
    assert node is not None
    assert node.guests == [here]
