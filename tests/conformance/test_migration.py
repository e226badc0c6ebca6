"""The cluster's state on its way through three logs: Raft, etcd, Raft again, with writers that do not stop for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from common.errors import Unavailable
from common.model import Config, ConfigSpec, Node, NodeSpec
from common.model.node import ManagerStatus
from common.settings import Settings
from manager.api.server import application
from manager.etcd.client import Client
from manager.etcd.keys import Keys
from manager.etcd.log import EtcdLog
from manager.etcd.wire import after, delete
from manager.migration.endpoints import MIGRATE, Migration, voters
from manager.migration.following import live
from manager.migration.places import Place, present_place
from manager.raft.core import Settings as CoreSettings
from manager.raft.log import RaftLog
from manager.raft.node import Options
from manager.store.base import Put
from manager.store.log import Log
from manager.store.move import Left, Move
from manager.store.store import StateStore, open_store
from tests.harness.etcd import shared
from tests.harness.logs import EtcdOptions
from tests.harness.raft_group import CallNetwork
from tests.harness.wait import eventually

IDS = ("a", "b", "c")


class Member:
    """A manager without its daemon: the store of the log that holds, through all moves."""

    def __init__(self, cluster: Cluster, id: str, folder: Path) -> None:
        self.cluster = cluster
        self.id = id
        self.settings = Settings(root=folder / id, state=folder / id)
        self.store: StateStore | None = None
        self.server: TestServer | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._running = asyncio.ensure_future(live(self.settings, self.id, self._serve))

    async def stop(self) -> None:
        assert self._running is not None
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    async def _serve(self, settings: Settings) -> None:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_store(self.cluster.log(settings, self.id)))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            group.create_task(store.until_moved())
            routes = Migration(store, self.settings, self.id).routes()
            self.server = await stack.enter_async_context(TestServer(application(routes, store)))
            self.store = store
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.store = None

    async def migrate(self, store: str, prefix: str = "") -> tuple[int, str]:
        assert self.server is not None
        async with (
            ClientSession() as session,
            session.post(self.server.make_url(MIGRATE), json={"store": store, "prefix": prefix}) as response,
        ):
            return response.status, await response.text()

    def serves(self, store: str) -> bool:
        return self.store is not None and present_place(self.settings).store == store


class Cluster:
    def __init__(self, folder: Path, ids: tuple[str, ...]) -> None:
        self.network = CallNetwork()
        self.members = [Member(self, id, folder) for id in ids]
        self.acknowledged: set[str] = set()
        self._count = 0

    def log(self, settings: Settings, id: str) -> Log:
        if settings.store != "raft":
            return EtcdLog(shared().urls, settings.store_prefix, id, options=EtcdOptions(ttl=2))
        options = Options(tick=0.01, patience=300, snapshot_every=50, core=CoreSettings(election=20, heartbeat=4))
        address, joins = self.network.address(id), len(self.members) > 1 and id != "a"
        return RaftLog(
            settings.root / "raft",
            id,
            address=address,
            joins=joins,
            options=options,
            transport=self.network.transport(id),
        )

    async def form(self) -> None:
        """The first founds the group, the others join, and all are nodes of the store."""
        for member in self.members:
            member.settings.root.mkdir()
            await member.start()
            await eventually(lambda member=member: member.store is not None)  # type: ignore[misc]
        first = self.members[0].store
        assert first is not None
        for member in self.members[1:]:
            log = first._log
            assert isinstance(log, RaftLog)
            assert member.store is not None
            assert isinstance(member.store._log, RaftLog)
            await log.add(member.id, self.network.address(member.id), member.store._log.birth)
        status = {m.id: ManagerStatus(reachability="reachable", addr=self.network.address(m.id)) for m in self.members}
        nodes = [Node(id=m.id, spec=NodeSpec(role="manager"), manager_status=status[m.id]) for m in self.members]
        await first.commit([Put(node) for node in nodes])

    async def write(self, member: Member) -> None:
        """Create configs, each name once, wherever the state lies; whoever gets no answer does not know."""
        while True:
            self._count += 1
            name = f"{member.id}{self._count}"
            with suppress(Unavailable):
                if member.store is not None:
                    await member.store.commit([Put(Config(id=name, spec=ConfigSpec(name=name)))])
                    self.acknowledged.add(name)
            await asyncio.sleep(0.001)

    async def writes(self) -> None:
        before = len(self.acknowledged)
        await eventually(lambda: len(self.acknowledged) > before + 100, timeout=30)

    async def move(self, by: Member, store: str, prefix: str = "") -> None:
        status, answer = await by.migrate(store, prefix)
        assert status == 200, answer
        await eventually(lambda: all(member.serves(store) for member in self.members), timeout=30)

    async def check(self) -> None:
        """Every member has all that was acknowledged, and all have the same."""
        states = []
        for member in self.members:
            assert member.store is not None
            await member.store.barrier()
            states.append({config.id: config for config in member.store.view().all(Config)})
        assert all(state == states[0] for state in states)
        assert self.acknowledged <= states[0].keys()


@asynccontextmanager
async def running(folder: Path, ids: tuple[str, ...]) -> AsyncIterator[Cluster]:
    cluster = Cluster(folder, ids)
    try:
        await cluster.form()
        yield cluster
    finally:
        await asyncio.gather(*(member.stop() for member in cluster.members))


@asynccontextmanager
async def writing(cluster: Cluster) -> AsyncIterator[None]:
    writers = [asyncio.ensure_future(cluster.write(member)) for member in cluster.members for _ in range(3)]
    try:
        yield
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.wait(writers)


@pytest.fixture
def etcd_store() -> Callable[[], str]:
    return lambda: "etcd://" + ",".join(url.removeprefix("http://") for url in shared().urls)


@pytest.mark.parametrize("ids", [("a",), IDS])
async def test_from_raft_to_etcd_and_back(ids: tuple[str, ...], tmp_path: Path, etcd_store: Callable[[], str]) -> None:
    async with running(tmp_path, ids) as cluster:
        first, last = cluster.members[0], cluster.members[-1]
        async with writing(cluster):
            await cluster.writes()
            await cluster.move(last, etcd_store(), str(tmp_path))
            await cluster.writes()
            assert not (first.settings.root / "raft").exists()
            await cluster.move(first, "raft")
            await cluster.writes()
        await cluster.check()
        assert first.store is not None
        assert first.store.view().count(Config) > 300
        versions = [config.version.index for config in first.store.view().all(Config)]
        assert len(set(versions)) == len(versions)
        # The prefix that was left is not taken again by mistake.
        status, answer = await first.migrate(etcd_store(), str(tmp_path))
        assert status == 409
        assert "is used in etcd already" in answer
        async with Client(shared().urls) as client:
            keys = Keys(str(tmp_path))
            await client.txn([], [delete(keys.all, after(keys.all))])
        await cluster.move(first, etcd_store(), str(tmp_path))
        await cluster.check()


async def test_a_manager_that_was_away_finds_the_new_place(tmp_path: Path, etcd_store: Callable[[], str]) -> None:
    """From etcd, by the entry that ended the log, however long ago that was."""
    async with running(tmp_path, IDS) as cluster:
        first, _, late = cluster.members
        await cluster.move(first, etcd_store(), str(tmp_path))
        await late.stop()
        cluster.members.remove(late)
        await cluster.move(first, "raft")
        async with writing(cluster):
            await cluster.writes()
        cluster.members.append(late)
        await late.start()
        await eventually(lambda: late.serves("raft"))
        await cluster.check()


async def test_a_crash_at_each_step_goes_on_where_it_was(
    tmp_path: Path, etcd_store: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The managers die after the old log's end, before the new log is filled, and before the place is noted."""
    from manager.etcd import seeding
    from manager.migration import following

    class Crash(BaseException): ...

    def crash(*_: object) -> None:
        raise Crash

    async with running(tmp_path, ("a",)) as cluster:
        [member] = cluster.members
        async with writing(cluster):
            await cluster.writes()
            for module, name in ((seeding, "fill"), (following, "note_place")):
                with monkeypatch.context() as patch:
                    patch.setattr(module, name, crash)
                    if name == "fill":
                        await member.migrate(etcd_store(), str(tmp_path))
                    else:
                        await member.start()
                    assert member._running is not None
                    with pytest.raises(Crash):
                        await member._running
            await member.start()
            await eventually(lambda: member.serves(etcd_store()))
            await cluster.writes()
        await cluster.check()


async def test_only_one_of_two_moves_counts(tmp_path: Path, etcd_store: Callable[[], str]) -> None:
    async with running(tmp_path, ("a",)) as cluster:
        [member] = cluster.members
        answers = await asyncio.gather(*(member.migrate(etcd_store(), f"{tmp_path}/{n}") for n in range(2)))
        assert sorted(status for status, _ in answers) == [200, 503]
        assert any("is moving to etcd" in answer for _, answer in answers)
        await eventually(lambda: member.serves(etcd_store()))
        async with Client(shared().urls) as client:
            keys = Keys(f"{tmp_path}/{[status for status, _ in answers].index(503)}")
            assert not (await client.range(keys.all, after(keys.all))).kvs


async def test_what_cannot_move_is_told_in_a_sentence(tmp_path: Path, etcd_store: Callable[[], str]) -> None:
    async with running(tmp_path, ("a",)) as cluster:
        [member] = cluster.members
        for store, prefix, sentence in (
            ("raft", "", "is kept by its managers already"),
            ("memory", "", "it is for tests"),
            ("etcd://nowhere", "", "it looks like HOST:2379"),
            (etcd_store(), "x:y", "invalid store prefix"),
        ):
            status, answer = await member.migrate(store, prefix)
            assert status in (400, 409)
            assert sentence in answer
        assert member.store is not None
        away = Node(id="b", spec=NodeSpec(role="manager"), manager_status=ManagerStatus(reachability="unreachable"))
        await member.store.commit([Put(away)])
        with pytest.raises(Unavailable, match="manager b does not answer, and would be left behind"):
            voters(member.store.view(), "a")


async def test_a_log_that_was_left_takes_nothing_more_over_its_snapshots_too(tmp_path: Path) -> None:
    options = Options(tick=0.01, snapshot_every=3, keep=1)
    async with open_store(RaftLog(tmp_path / "raft", "a", options=options)) as store:
        await store.move(Move(store="etcd://a:1", prefix="/x", token="t", number=1))
        for n in range(10):
            with pytest.raises(Left, match="is moving to etcd://a:1"):
                await store.commit([Put(Config(id=f"{n}", spec=ConfigSpec(name=f"{n}")))])
    async with open_store(RaftLog(tmp_path / "raft", "a", options=options)) as store:
        with pytest.raises(Left):
            await store.commit([Put(Config(id="x", spec=ConfigSpec(name="x")))])
        assert not store.view().count(Config)


def test_places_are_plain_files(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path)
    assert present_place(settings) == Place("raft")
    assert msgspec.json.encode(Place("raft")) == b'{"store":"raft","prefix":"","number":0}'
