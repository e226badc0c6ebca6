"""A node is told what it needs, once, and told when it is over. Whatever happens, what it was told adds up to what a new
session would get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import msgspec
import pytest

from common.model import Config, ConfigSpec, Guest, Network, Node, Secret, Service, Task, TaskState, TaskStatus
from common.wire import Assignments, digest
from manager.dispatcher.directory import Directory
from manager.dispatcher.node_set import KINDS, NodeSet
from manager.store.base import Change, Delete, Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from tests.unit.dispatcher.objects import CLUSTER, FRONT, KEY, WEB, task

replace = msgspec.structs.replace


class Worker:
    """What a worker holds that takes every message in."""

    def __init__(self, node_id: str, directory: Directory, store: StateStore) -> None:
        self.marked = 0
        self.closed = ""
        self._store = store
        self.set = NodeSet(node_id, directory, self._mark, self._close)
        directory.enter(self.set)
        first = self.set.complete(store.view())
        self.holds: dict[str, dict[str, Any]] = {kind: dict(getattr(first, kind)) for kind in KINDS}

    def _mark(self) -> None:
        self.marked += 1

    def _close(self, reason: str) -> None:
        self.closed = reason

    def hear(self) -> tuple[Assignments, dict[str, list[str]]]:
        changed, removed = self.set.take(self._store.view())
        for kind in KINDS:
            self.holds[kind].update(getattr(changed, kind))
            for id in removed.get(kind, ()):
                del self.holds[kind][id]
        return changed, removed

    @property
    def assignments(self) -> Assignments:
        return Assignments(**self.holds)


class World:
    def __init__(self, store: StateStore) -> None:
        self.store = store
        self.directory = Directory()
        self._events = store.watch()

    async def commit(self, *changes: Change) -> None:
        """Commit, and let the directory hear of it."""
        await self.store.commit(changes)
        event = await anext(self._events)
        for changed in event.changes:
            self.directory.mark(self.store.view(), changed)

    def worker(self, node_id: str = "n1") -> Worker:
        return Worker(node_id, self.directory, self.store)

    async def put_guest(self, *networks: str) -> None:
        """One container of a user on node n1, on these networks."""
        node = self.store.view().get(Node, "n1")
        assert node is not None
        await self.commit(Put(replace(node, guests=[Guest(container_id="own", network_id=id) for id in networks])))

    async def put_task(self, wanted: Task) -> None:
        old = self.store.view().get(Task, wanted.id)
        await self.commit(Put(replace(wanted, version=old.version) if old else wanted))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_store(MemoryLog()) as store:
        await store.commit(CLUSTER)
        yield World(store)


async def test_a_node_without_tasks_knows_ingress_only(world: World) -> None:
    worker = world.worker()
    assert {kind: list(held) for kind, held in worker.holds.items() if held} == {
        "networks": ["ing"],
        "endpoints": ["web/ing"],
    }


async def test_a_task_comes_with_all_that_it_needs(world: World) -> None:
    worker = world.worker()
    await world.put_task(task())
    changed, removed = worker.hear()
    assert changed.tasks["t1"].spec == WEB.spec.task_template
    assert [a.network.spec.name for a in changed.tasks["t1"].networks_attachments if a.network] == ["front", "ingress"]
    assert (list(changed.networks), list(changed.secrets)) == (["front"], ["key"])
    assert set(changed.endpoints) == {"web/front", "web/ing"}
    assert removed == {}


async def test_tasks_of_other_nodes_and_unassigned_ones_stay_away(world: World) -> None:
    worker = world.worker()
    await world.put_task(task(2, "n2"))
    await world.put_task(task(3, "n1", TaskState.PENDING))
    changed, _ = worker.hear()
    assert (changed.tasks, changed.secrets) == ({}, {})
    assert list(changed.endpoints) == ["web/ing"]


async def test_a_status_is_not_sent_back(world: World) -> None:
    worker = world.worker()
    await world.put_task(task())
    worker.hear()
    await world.put_task(task(state=TaskState.PREPARING))
    assert worker.hear() == (Assignments(), {})
    await world.put_task(task(desired_state=TaskState.SHUTDOWN))
    assert list(worker.hear()[0].tasks) == ["t1"]


async def test_a_task_that_has_to_stop_loses_its_connections_in_the_same_message(world: World) -> None:
    worker = world.worker()
    await world.put_task(task(state=TaskState.RUNNING))
    changed, _ = worker.hear()
    assert changed.endpoints["web/ing"].backends[0].ready
    running = world.store.view().get(Task, "t1")
    assert running is not None
    await world.store.commit([Put(replace(running, desired_state=TaskState.SHUTDOWN))])
    worker.set.mark("tasks", "t1")  # by an earlier change: the directory has not yet followed this one
    changed, _ = worker.hear()
    assert list(changed.tasks) == ["t1"]
    assert [changed.endpoints[f"web/{id}"].backends[0].ready for id in ("ing", "front")] == [False, False]


async def test_the_networks_of_guests_come_with_their_endpoints(world: World) -> None:
    worker = world.worker()
    await world.put_guest("front")
    changed, _ = worker.hear()
    assert (list(changed.networks), list(changed.endpoints)) == (["front"], ["web/front"])
    await world.put_guest()
    assert worker.hear()[1] == {"networks": ["front"], "endpoints": ["web/front"]}
    await world.put_guest("front")
    assert "front" in world.worker().holds["networks"]


async def test_a_task_that_ended_needs_nothing_any_more_but_stays_until_it_is_removed(world: World) -> None:
    worker = world.worker()
    await world.put_task(task())
    worker.hear()
    await world.put_task(task(state=TaskState.FAILED))
    assert worker.hear()[1] == {"networks": ["front"], "secrets": ["key"], "endpoints": ["web/front"]}
    await world.commit(Delete(world.store.view().find(Task, "node", "n1")[0]))
    assert worker.hear()[1] == {"tasks": ["t1"]}


async def test_what_two_tasks_need_goes_with_the_second(world: World) -> None:
    worker = world.worker()
    await world.put_task(task(1))
    await world.put_task(task(2))
    worker.hear()
    await world.put_task(task(1, state=TaskState.COMPLETE))
    assert worker.hear()[1] == {}
    await world.put_task(task(2, state=TaskState.COMPLETE))
    assert worker.hear()[1]["secrets"] == ["key"]


async def test_a_neighbour_on_the_network_changes_the_endpoint(world: World) -> None:
    worker, stranger = world.worker("n1"), world.worker("n2")
    await world.put_task(task(1, "n1"))
    worker.hear()
    stranger.hear()
    await world.put_task(task(1, "n1", TaskState.RUNNING))
    assert worker.hear()[0].endpoints["web/front"].backends[0].ready
    assert list(stranger.hear()[0].endpoints) == ["web/ing"]


async def test_a_service_that_goes_leaves_its_tasks_their_spec(world: World) -> None:
    worker = world.worker()
    await world.put_task(task())
    worker.hear()
    service = world.store.view().get(Service, "web")
    assert service is not None
    await world.commit(Delete(service))
    assert worker.hear()[1] == {"endpoints": ["web/front", "web/ing"]}
    await world.put_task(task(desired_state=TaskState.REMOVE))
    assert worker.hear()[0].tasks["t1"].spec == WEB.spec.task_template


async def test_a_changed_secret_or_network_is_sent_again(world: World) -> None:
    worker = world.worker()
    await world.put_task(task())
    worker.hear()
    secret, network = world.store.view().get(Secret, "key"), world.store.view().get(Network, "front")
    assert secret is not None
    assert network is not None
    await world.commit(Put(replace(secret, spec=replace(secret.spec, labels={"a": "b"}))))
    await world.commit(Put(replace(network, vni=9999)))
    changed, _ = worker.hear()
    assert list(changed.secrets) == ["key"]
    assert changed.networks["front"].vni == 9999
    assert [a.network.vni for a in changed.tasks["t1"].networks_attachments if a.network] == [9999, 4096]


async def test_an_unrelated_change_marks_nothing(world: World) -> None:
    worker = world.worker()
    await world.commit(Put(Config(id="other", spec=ConfigSpec(name="other"))))
    await world.commit(Put(Secret(id="other", spec=KEY.spec.__class__(name="other"))))
    await world.commit(Put(Network(id="other", spec=FRONT.spec.__class__(name="other", driver="overlay"))))
    assert worker.marked == 0


async def test_a_new_session_ends_the_old_one(world: World) -> None:
    old, new = world.worker(), world.worker()
    assert old.closed == "the node began a new session"
    world.directory.leave(old.set)
    old.set.leave()
    await world.put_task(task())
    assert (old.marked, list(new.hear()[0].tasks)) == (0, ["t1"])


@pytest.mark.parametrize("seed", range(20))
async def test_increments_add_up_to_what_a_new_session_would_get(world: World, seed: int) -> None:
    rng = Random(seed)
    worker = world.worker()
    for _ in range(60):
        await step(world, rng)
        if rng.random() < 0.5:
            worker.hear()
    worker.hear()
    again = world.worker()
    assert digest(worker.assignments) == digest(again.assignments)
    assert worker.set.pending == 0


async def step(world: World, rng: Random) -> None:
    number = rng.randrange(5)
    old = world.store.view().get(Task, f"t{number}")
    if old is None:
        await world.put_task(task(number, rng.choice(("n1", "n2")), TaskState.PENDING))
    elif old.status.state.terminal and rng.random() < 0.5:
        await world.commit(Delete(old))
    else:
        states = [state for state in TaskState if state.order >= old.status.state.order]
        status = TaskStatus(state=rng.choice(states[:4]), healthy=rng.random() < 0.8)
        desired = rng.choice((TaskState.RUNNING, TaskState.RUNNING, TaskState.SHUTDOWN))
        await world.commit(Put(replace(old, status=status, desired_state=desired)))


async def test_what_the_worker_itself_reports_does_not_wake_its_session(world: World) -> None:
    worker = world.worker()
    await world.put_task(task())
    worker.hear()
    marked = worker.marked
    await world.put_task(task(state=TaskState.PREPARING))
    assert worker.marked == marked
    await world.put_task(task(state=TaskState.PREPARING, desired_state=TaskState.SHUTDOWN))
    assert worker.marked > marked
