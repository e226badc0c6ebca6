"""Three members as they run in managers: real time and disks, only the network between them is a function call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from random import Random

import msgspec
import pytest

from common.errors import Conflict, Unavailable
from manager.raft.core import Config, Core, InstallSnapshot, Message, Settings
from manager.raft.core.messages import Heartbeat
from manager.raft.node import Node, Options
from manager.raft.storage import Storage
from tests.harness.logs import Recorder
from tests.harness.wait import eventually

replace = msgspec.structs.replace
IDS = ("a", "b", "c")
OPTIONS = Options(tick=0.005, patience=400, snapshot_every=20, keep=5, core=Settings(election=20, heartbeat=4))


class Network:
    """Carries messages between the members that are up and not cut off; also the transport of each."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.cut: set[str] = set()

    def send(self, message: Message) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, message)

    def run(
        self, birth: str, deliver: Callable[[Message], None], lost: Callable[[str], None]
    ) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def members(self, config: Config) -> None:
        pass

    async def send_snapshot(self, message: InstallSnapshot, data: Iterator[bytes]) -> None:
        whole = b"".join(data)
        self.send(replace(message, snapshot=replace(message.snapshot, data=whole)))

    def _deliver(self, message: Message) -> None:
        node = self.nodes.get(message.to)
        if node is not None and not {message.sender, message.to} & self.cut:
            node.deliver(message)


class Group:
    def __init__(self, folder: Path) -> None:
        self.network = Network()
        self.machines: dict[str, Recorder] = {}
        self._folder = folder
        self._running: dict[str, tuple[asyncio.Task[None], Storage]] = {}

    def start(self, id: str) -> None:
        storage, machine = Storage(self._folder / id), Recorder()
        storage.open()
        durable = storage.load(Config(voters=frozenset(IDS)))
        if durable.snapshot.index:
            machine.restore(durable.snapshot.index, durable.snapshot.data)
        node = Node(Core(id, durable, Random(), OPTIONS.core), storage, machine, self.network, OPTIONS)
        self.machines[id] = machine
        self.network.nodes[id] = node
        self._running[id] = asyncio.ensure_future(node.run()), storage

    async def stop(self, id: str) -> None:
        self.network.nodes.pop(id).stop()
        task, storage = self._running.pop(id)
        await task
        storage.close()

    async def leader(self) -> str:
        """Whoever leads, once all that are up and not cut off follow."""
        reachable = {id: node for id, node in self.network.nodes.items() if id not in self.network.cut}
        await eventually(lambda: any(node.is_leader() for node in reachable.values()))
        return next(id for id, node in reachable.items() if node.is_leader())

    async def others(self) -> list[str]:
        leader = await self.leader()
        return [id for id in IDS if id != leader]

    async def equal(self) -> None:
        await eventually(lambda: len({tuple(machine.applied) for machine in self.machines.values()}) == 1)


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[Group]:
    made = Group(tmp_path)
    for id in IDS:
        made.start(id)
    yield made
    for id in list(made.network.nodes):
        await made.stop(id)


async def write(group: Group, id: str, count: int, name: Callable[[int], str] = str) -> None:
    node = group.network.nodes[id]
    await asyncio.gather(*(node.propose(name(n).encode()) for n in range(count)))


async def test_writes_through_any_member_reach_all(group: Group) -> None:
    await group.leader()
    for id in IDS:
        await write(group, id, 10, lambda n, id=id: f"{id}{n}")  # type: ignore[misc]
    await group.equal()
    assert sorted(group.machines["a"].data) == sorted(f"{id}{n}".encode() for id in IDS for n in range(10))


async def test_a_follower_learns_why_its_entry_was_refused(group: Group) -> None:
    follower = (await group.others())[0]
    with pytest.raises(Conflict, match="bad one"):
        await group.network.nodes[follower].propose(b"bad one")


async def test_only_the_leader_commits_what_a_leader_must(group: Group) -> None:
    leader, others = await group.leader(), await group.others()
    await group.network.nodes[leader].propose(b"led", leading=True)
    with pytest.raises(Unavailable, match="leads no more"):
        await group.network.nodes[others[0]].propose(b"not led", leading=True)
    await group.network.nodes[others[0]].propose(b"passed on")
    await group.equal()
    assert group.machines[leader].data == [b"led", b"passed on"]


async def test_a_leader_that_was_replaced_takes_nothing_more_as_leader(group: Group) -> None:
    leader, others = await group.leader(), await group.others()
    node = group.network.nodes[leader]
    late = asyncio.ensure_future(node.propose(b"late", leading=True))
    node.deliver(Heartbeat(others[0], leader, 1000, 0))
    with pytest.raises(Unavailable, match="leads no more"):
        await late
    await group.network.nodes[await group.leader()].propose(b"next", leading=True)
    await group.equal()
    assert group.machines[leader].data == [b"next"]


async def test_a_follower_reads_what_was_acknowledged_before(group: Group) -> None:
    leader, others = await group.leader(), await group.others()
    for number in range(20):
        await group.network.nodes[leader].propose(b"%d" % number)
        await group.network.nodes[others[number % 2]].barrier()
        assert group.machines[others[number % 2]].data[-1] == b"%d" % number


async def test_the_rest_goes_on_without_the_leader_and_it_catches_up_by_a_snapshot(group: Group) -> None:
    old = await group.leader()
    await write(group, old, 5)
    await group.stop(old)
    new = await group.leader()
    for round in range(5):
        await write(group, new, 60, lambda n, round=round: f"later {round} {n}")  # type: ignore[misc]
    group.start(old)
    await group.equal()
    assert len(group.machines[old].data) == 305
    assert group.machines[old].restored > 0


async def test_a_leader_that_is_cut_off_steps_down_and_fails_what_waits(group: Group) -> None:
    old = await group.leader()
    group.network.cut = {old}
    lost = asyncio.ensure_future(group.network.nodes[old].propose(b"lost"))
    with pytest.raises(Unavailable, match="may still commit"):
        await lost
    await asyncio.wait_for(group.network.nodes[old].leadership(False), 5)
    new = await group.leader()
    await write(group, new, 3)
    group.network.cut = set()
    await group.equal()
    assert b"lost" not in group.machines[new].data


async def test_all_of_them_come_back_with_all_that_was_acknowledged(group: Group) -> None:
    await write(group, await group.leader(), 50)
    for id in IDS:
        await group.stop(id)
    for id in IDS:
        group.start(id)
    await group.network.nodes["b"].barrier()
    assert len(group.machines["b"].data) == 50
