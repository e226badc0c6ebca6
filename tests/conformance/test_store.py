"""What every Store promises (manager/store/base.py), over each Log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from common.errors import Unavailable, VersionConflict
from common.model import (
    ContainerSpec,
    Network,
    NetworkAttachment,
    NetworkSpec,
    Node,
    NodeDescription,
    NodeSpec,
    Secret,
    SecretSpec,
    Service,
    ServiceSpec,
    Task,
    TaskSpec,
    TaskState,
    TaskStatus,
)
from common.model.service import NetworkAttachmentConfig, SecretReference
from manager.store.base import Delete, Event, Put
from manager.store.log import Log
from manager.store.store import StateStore, open_store
from tests.harness.logs import KINDS, opener

replace = msgspec.structs.replace
START = datetime(2024, 5, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture(params=KINDS)
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Log]:
    return opener(request.param, tmp_path, snapshot_every=7)


@pytest.fixture
async def store(open_log: Callable[[], Log]) -> AsyncIterator[StateStore]:
    async with open_store(open_log(), Clock()) as opened:
        yield opened


def secret(id: str, name: str = "", data: bytes = b"x") -> Secret:
    return Secret(id=id, spec=SecretSpec(name=name or id, data=data))


def task(id: str, **fields: object) -> Task:
    return Task(id=id, **{"service_id": "s", "slot": 1, **fields})  # type: ignore[arg-type]


async def test_a_commit_stamps_version_and_times(store: StateStore) -> None:
    revision = await store.commit([Put(secret("a"))])
    first = store.view().get(Secret, "a")
    assert first is not None
    assert first.version.index == revision == store.view().revision
    assert START < first.created_at == first.updated_at
    later = await store.commit([Put(replace(first, spec=replace(first.spec, labels={"k": "v"})))])
    second = store.view().get(Secret, "a")
    assert second is not None
    assert (second.version.index, second.created_at) == (later, first.created_at)
    assert second.updated_at > first.updated_at
    assert second.spec.labels == {"k": "v"}


async def test_a_leader_commits_as_such(store: StateStore) -> None:
    await store.leadership(True)
    revision = await store.commit([Put(secret("a"))], leading=True)
    assert store.view().revision == revision


async def test_stale_changes_conflict_and_change_nothing(store: StateStore) -> None:
    await store.commit([Put(secret("a"))])
    old = store.view().get(Secret, "a")
    assert old is not None
    await store.commit([Put(old)])
    revision = store.view().revision
    for change in (Put(old), Delete(old), Put(secret("a", "other")), Delete(secret("none")), Put(replace(old, id="b"))):
        with pytest.raises(VersionConflict, match=r"update out of sequence: secret .* read it again"):
            await store.commit([Put(secret("new")), change])
    assert store.view().revision == revision
    assert [s.id for s in store.view().all(Secret)] == ["a"]
    assert store.view().find(Secret, "name", "new") == []


async def test_names_are_unique_per_kind_whatever_their_case(store: StateStore) -> None:
    await store.commit([Put(secret("a", "Password"))])
    with pytest.raises(VersionConflict, match="secret PASSWORD already exists"):
        await store.commit([Put(secret("b", "PASSWORD"))])
    await store.commit([Put(Service(id="s", spec=ServiceSpec(name="password")))])
    assert [s.id for s in store.view().find(Secret, "name", "pAssword")] == ["a"]
    assert await store.commit([Put(task("t1", name="x")), Put(task("t2", name="x"))])


async def test_nodes_without_a_name_do_not_collide(store: StateStore) -> None:
    await store.commit([Put(Node(id="n1")), Put(Node(id="n2", description=NodeDescription(hostname="Box")))])
    assert [n.id for n in store.view().find(Node, "hostname", "box")] == ["n2"]
    with pytest.raises(VersionConflict):
        await store.commit([Put(Node(id=id, spec=NodeSpec(name="same"))) for id in ("n3", "n4")])
    assert store.view().count(Node) == 2


async def test_a_name_is_free_again_within_the_transaction_that_frees_it(store: StateStore) -> None:
    await store.commit([Put(secret("a", "name"))])
    old = store.view().get(Secret, "a")
    assert old is not None
    await store.commit([Delete(old), Put(secret("b", "name"))])
    assert [s.id for s in store.view().find(Secret, "name", "name")] == ["b"]


async def test_of_concurrent_changes_one_wins(store: StateStore) -> None:
    await store.commit([Put(secret("a"))])
    seen = store.view().get(Secret, "a")
    assert seen is not None
    results = await asyncio.gather(*(store.commit([Put(seen)]) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, VersionConflict) for result in results) == 9


async def test_watchers_see_each_commit_once_in_order(store: StateStore) -> None:
    await store.commit([Put(secret("before"))])
    watch = store.watch()
    await asyncio.gather(*(store.commit([Put(secret(f"s{n}"))]) for n in range(50)))
    first = store.view().get(Secret, "s0")
    assert first is not None
    await store.commit([Delete(first), Put(secret("last"))])
    events = [await anext(watch) for _ in range(51)]
    revisions = [event.revision for event in events]
    assert revisions == sorted(set(revisions))
    assert {event.changes[0].object.id for event in events[:-1]} == {f"s{n}" for n in range(50)}
    assert_last(events[-1], first)


def assert_last(event: Event, deleted: Secret) -> None:
    removal, creation = event.changes
    assert (removal.before, removal.after) == (deleted, None)
    assert creation.before is None
    assert creation.object.id == "last"


async def test_a_commit_that_conflicts_makes_no_event(store: StateStore) -> None:
    watch = store.watch()
    with pytest.raises(VersionConflict):
        await store.commit([Put(secret("x")), Delete(secret("none"))])
    await store.commit([Put(secret("y"))])
    event = await anext(watch)
    assert [changed.object.id for changed in event.changes] == ["y"]


async def test_an_empty_commit_is_no_commit(store: StateStore) -> None:
    revision = await store.commit([Put(secret("x"))])
    assert await store.commit([]) == revision


async def test_tasks_are_found_by_their_indices(store: StateStore) -> None:
    attachment = NetworkAttachment(network_id="net", addresses=["10.0.0.2/24"])
    spec = TaskSpec(container_spec=ContainerSpec(secrets=[SecretReference(secret_id="sec")]))
    await store.commit(
        [
            Put(task("t1", node_id="n", networks_attachments=(attachment,), spec=spec)),
            Put(task("t2", slot=0, node_id="n")),
        ]
    )
    found = {
        index: [t.id for t in store.view().find(Task, index, key)]
        for index, key in (
            ("service", "s"), ("node", "n"), ("slot", "s.1"), ("desired", "new"), ("state", "new"), ("network", "net"),
            ("secret", "sec"), ("config", "sec"),
        )
    }  # fmt: skip
    both = ["t1", "t2"]
    assert found == {
        "service": both, "node": both, "slot": ["t1"], "desired": both, "state": both, "network": ["t1"],
        "secret": ["t1"], "config": [],
    }  # fmt: skip
    assert [t.id for t in store.view().find(Task, "slot", "s.n")] == ["t2"]


async def test_indices_follow_changes_and_removals(store: StateStore) -> None:
    await store.commit([Put(task("t"))])
    old = store.view().get(Task, "t")
    assert old is not None
    await store.commit([Put(replace(old, node_id="n", status=TaskStatus(state=TaskState.ASSIGNED)))])
    assert store.view().find(Task, "state", "new") == []
    assigned = store.view().find(Task, "state", "assigned")
    assert [t.node_id for t in assigned] == ["n"]
    await store.commit([Delete(assigned[0])])
    assert store.view().find(Task, "node", "n") == []
    assert store.view().count(Task) == 0


async def test_services_and_networks_are_found_by_what_they_refer_to(store: StateStore) -> None:
    template = TaskSpec(
        container_spec=ContainerSpec(secrets=[SecretReference(secret_id="sec")]),
        networks=[NetworkAttachmentConfig(target="net")],
    )
    await store.commit([Put(Service(id="s", spec=ServiceSpec(name="web", task_template=template)))])
    await store.commit([Put(Network(id="net", spec=NetworkSpec(name="front"), pending_delete=True))])
    view = store.view()
    assert [s.id for s in view.find(Service, "network", "net")] == ["s"]
    assert [s.id for s in view.find(Service, "secret", "sec")] == ["s"]
    assert view.find(Service, "pending_delete", "true") == []
    assert [n.id for n in view.find(Network, "pending_delete", "true")] == ["net"]
    with pytest.raises(KeyError):
        view.find(Network, "no such index", "x")


async def test_everything_is_there_after_a_reopening(open_log: Callable[[], Log]) -> None:
    async with open_store(open_log()) as store:
        for number in range(30):
            await store.commit([Put(secret(f"s{number}", data=bytes([number]))), Put(task(f"t{number}"))])
        gone = store.view().get(Secret, "s3")
        assert gone is not None
        await store.commit([Delete(gone)])
        before = list(store.view().all(Secret)), list(store.view().all(Task)), store.view().revision
    async with open_store(open_log()) as store:
        view = store.view()
        after = list(view.all(Secret)), list(view.all(Task)), view.revision
        assert sorted(after[0], key=str) == sorted(before[0], key=str)
        assert sorted(after[1], key=str) == sorted(before[1], key=str)
        assert after[2] == before[2]
        assert len(view.find(Task, "service", "s")) == 30


async def test_a_closed_store_takes_no_change(open_log: Callable[[], Log]) -> None:
    async with open_store(open_log()) as store:
        await store.leadership(True)
        await store.barrier()
    with pytest.raises(Unavailable):
        await store.commit([Put(secret("late"))])
