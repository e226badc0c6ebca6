"""Who a node is told of, so that its containers reach others: on its networks, on other nodes, as long as they are there."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from common.model import Cluster, Guest, NetworkAttachment, Node, NodeStatus, TaskState
from common.wire import Peer, digest
from manager.store.base import Delete, Put
from tests.unit.dispatcher.objects import node, task
from tests.unit.dispatcher.test_node_set import World, step, world

__all__ = ["world"]


async def change(world: World, id: str, **fields: object) -> None:
    old = world.store.view().get(Node, id)
    assert old is not None
    await world.commit(Put(replace(old, **fields)))


async def test_peers_are_told_to_nodes_on_their_network(world: World) -> None:
    one, two = world.worker("n1"), world.worker("n2")
    await world.put_task(task(1, "n1"))
    assert one.hear()[0].peers == {}, "its own containers a node knows"
    expected = Peer(network_id="ing", node_id="n1", host="192.0.2.1", addresses=["10.0.0.11"])
    assert two.hear()[0].peers == {"ing/t1": expected}, "it is on the ingress network only"
    await world.put_task(task(2, "n2"))
    assert set(one.hear()[0].peers) == {"front/t2", "ing/t2"}
    assert set(two.hear()[0].peers) == {"front/t1"}
    await world.put_task(task(2, "n2", TaskState.COMPLETE))
    assert sorted(one.hear()[1]["peers"]) == ["front/t2", "ing/t2"]
    assert two.hear()[1]["peers"] == ["front/t1"], "nothing on the node needs the network any more"


async def test_guests_and_the_nodes_own_addresses_are_peers(world: World) -> None:
    one, two = world.worker("n1"), world.worker("n2")
    await world.put_task(task(2, "n2"))
    two.hear()
    await change(
        world, "n1", guests=[Guest(container_id="c", network_id="front", addresses=["10.0.1.9/24", "fd00::9/64"])]
    )
    assert two.hear()[0].peers["front/n1@c"].addresses == ["10.0.1.9", "fd00::9"]
    assert "front/t2" in one.hear()[0].peers, "the guest's node reaches the network, too"
    await change(world, "n1", attachments=[NetworkAttachment(network_id="ing", addresses=["10.0.0.5/24"])])
    own = one.hear()[0].peers["ing/n1"]
    assert own == two.hear()[0].peers["ing/n1"], "a node hears of its own address in the same words"
    await change(world, "n1", guests=[], attachments=[])
    assert sorted(two.hear()[1]["peers"]) == ["front/n1@c", "ing/n1"]


async def test_a_node_that_moves_takes_its_peers_with_it(world: World) -> None:
    two = world.worker("n2")
    await world.put_task(task(1, "n1"))
    two.hear()
    await change(world, "n1", description=node("n1", "198.51.100.1").description)
    assert two.hear()[0].peers["ing/t1"].host == "198.51.100.1"
    await change(world, "n1", description=node("n1", "").description, status=NodeStatus(addr="203.0.113.1"))
    assert two.hear()[0].peers["ing/t1"].host == "203.0.113.1", (
        "a node that does not say is where its session came from"
    )
    await change(world, "n1", status=NodeStatus())
    assert two.hear()[1]["peers"] == ["ing/t1"], "nobody knows where it is"


async def test_another_port_is_that_of_all_peers(world: World) -> None:
    two = world.worker("n2")
    await world.commit(Put(Cluster(id="c")))
    await world.put_task(task(1, "n1"))
    assert two.hear()[0].peers["ing/t1"].port == 4789
    cluster = world.store.view().get(Cluster, "c")
    assert cluster is not None
    await world.commit(Put(replace(cluster, data_path_port=4790)))
    assert two.hear()[0].peers["ing/t1"].port == 4790


@pytest.mark.parametrize("seed", range(20))
async def test_increments_add_up_to_what_a_new_session_would_get(world: World, seed: int) -> None:
    rng = Random(seed)
    worker = world.worker()
    for _ in range(80):
        await (step if rng.random() < 0.6 else _step)(world, rng)
        if rng.random() < 0.5:
            worker.hear()
    worker.hear()
    again = world.worker()
    assert digest(worker.assignments) == digest(again.assignments)


async def _step(world: World, rng: Random) -> None:
    id = rng.choice(("n1", "n2", "n3"))
    old = world.store.view().get(Node, id)
    if old is None:
        await world.commit(Put(node(id, "192.0.2.3")))
    elif id == "n3" and rng.random() < 0.3:
        await world.commit(Delete(old))
    elif rng.random() < 0.3:
        await change(world, id, description=node(id, rng.choice(("", "192.0.2.7", "192.0.2.8"))).description)
    else:
        guests = [
            Guest(container_id=c, network_id=n, addresses=["10.0.1.77/24"]) for c, n in (("a", "front"), ("b", "ing"))
        ]
        attachments = [NetworkAttachment(network_id="ing", addresses=["10.0.0.77/24"])]
        await change(
            world, id, guests=rng.sample(guests, rng.randrange(3)), attachments=attachments[: rng.randrange(2)]
        )
