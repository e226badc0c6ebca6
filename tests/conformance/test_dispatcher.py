"""A manager's side of the session, spoken to over a real socket by a peer that may do as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from common import wire
from common.errors import Unavailable
from common.model import SECOND, Cluster, Node, NodeDescription, Task, TaskState, TaskStatus
from common.model.node import ManagerStatus, RootCA, TLSInfo
from manager.dispatcher import Dispatcher
from manager.store.base import Delete, Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from tests.harness.wait import eventually
from tests.unit.dispatcher.objects import CLUSTER, task

NOW = datetime(2024, 5, 1, tzinfo=UTC)


class Peer:
    """Speaks for a worker, one message at a time."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, message: wire.Message) -> None:
        await self.socket.send_bytes(wire.encode(message))

    async def receive(self) -> wire.FromManager:
        frame = await self.socket.receive(5)
        assert frame.type is aiohttp.WSMsgType.BINARY, frame
        message: wire.FromManager = wire.decode_from_manager(frame.data)
        return message

    async def farewell(self) -> str:
        while (frame := await self.socket.receive(5)).type is aiohttp.WSMsgType.BINARY:
            pass
        assert frame.type is aiohttp.WSMsgType.CLOSE, frame
        return str(frame.extra)

    async def hello(self, node_id: str = "n1", digest: str = "") -> wire.FromManager:
        """Say Hello; returns the first assignments."""
        await self.send(wire.Hello(node_id=node_id, description=NodeDescription(hostname="box"), digest=digest))
        assert isinstance(await self.receive(), wire.Welcome)
        return await self.receive()


class World:
    def __init__(self, store: StateStore, dispatcher: Dispatcher, path: Path) -> None:
        self.store = store
        self.dispatcher = dispatcher
        self._path = path

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path))) as http,
            http.ws_connect("http://manager/shoal/v1/session") as socket,
        ):
            yield Peer(socket)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_store(MemoryLog()) as store:
        await store.commit(CLUSTER)
        dispatcher = Dispatcher(store)
        app = web.Application()
        app.add_routes(dispatcher.routes())
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "socket")).start()
        running = asyncio.ensure_future(dispatcher.run())
        yield World(store, dispatcher, tmp_path / "socket")
        running.cancel()
        await asyncio.wait([running])
        await runner.cleanup()


async def test_a_session_brings_all_then_what_changes(world: World) -> None:
    async with world.peer() as peer:
        first = await peer.hello()
        assert isinstance(first, wire.Complete)
        assert (first.sequence, list(first.assignments.networks)) == (1, ["ing"])
        await eventually(
            lambda: [n.status.state for n in world.store.view().find(Node, "hostname", "box")] == ["ready"]
        )
        await world.store.commit([Put(task())])
        second = await peer.receive()
        assert isinstance(second, wire.Incremental)
        assert (second.sequence, list(second.changed.tasks)) == (2, ["t1"])


async def test_a_worker_that_has_everything_is_sent_nothing(world: World) -> None:
    await world.store.commit([Put(task())])
    async with world.peer() as peer:
        first = await peer.hello()
    assert isinstance(first, wire.Complete)
    async with world.peer() as peer:
        assert await peer.hello(digest=wire.digest(first.assignments)) == wire.Incremental(sequence=1)
        await world.store.commit([Put(task(2))])
        assert isinstance(await peer.receive(), wire.Incremental)
    async with world.peer() as peer:
        assert isinstance(await peer.hello(digest="something else"), wire.Complete)


async def test_many_changes_travel_together(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        for number in range(1, 201):
            await world.store.commit([Put(task(number))])
        tasks: set[str] = set()
        messages = 0
        while len(tasks) < 200:
            message = await peer.receive()
            assert isinstance(message, wire.Incremental)
            tasks |= message.changed.tasks.keys()
            messages += 1
        assert messages <= 20


async def test_statuses_reach_the_store(world: World) -> None:
    await world.store.commit([Put(task(1)), Put(task(2, "n2"))])
    async with world.peer() as peer:
        await peer.hello()
        running = TaskStatus(state=TaskState.RUNNING, timestamp=NOW)
        await peer.send(wire.StatusBatch(updates=[wire.TaskUpdate(task_id=id, status=running) for id in ("t1", "t2")]))
        await eventually(lambda: [t.id for t in world.store.view().find(Task, "state", "running")] == ["t1"])


async def test_a_report_changes_the_description(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        await eventually(lambda: bool(world.store.view().find(Node, "hostname", "box")))
        await peer.send(wire.Report(description=NodeDescription(hostname="renamed")))
        await eventually(lambda: bool(world.store.view().find(Node, "hostname", "renamed")))


async def test_beats_are_answered(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        for _ in range(3):
            await peer.send(wire.Beat())
            assert await peer.receive() == wire.Beat()


async def test_a_session_begins_once_the_view_holds_what_all_managers_committed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manager that is behind would take tasks from the worker that another one gave it."""
    caught_up = asyncio.Event()
    monkeypatch.setattr(world.store, "barrier", caught_up.wait)
    async with world.peer() as peer:
        await peer.send(wire.Hello(node_id="n1", description=NodeDescription()))
        assert isinstance(await peer.receive(), wire.Welcome)
        await peer.send(wire.Beat())
        assert await peer.receive() == wire.Beat()
        await world.store.commit([Put(task())])
        caught_up.set()
        first = await peer.receive()
        assert isinstance(first, wire.Complete)
        assert list(first.assignments.tasks) == ["t1"]


async def test_a_manager_that_has_lost_the_others_takes_no_sessions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def barrier() -> None:
        raise Unavailable("no leader")

    async with world.peer() as peer:
        await peer.hello()
        monkeypatch.setattr(world.store, "barrier", barrier)
        assert await peer.farewell() == "this manager has lost the others: find another one"
    async with world.peer() as peer:
        await peer.send(wire.Hello(node_id="n1", description=NodeDescription()))
        assert await peer.farewell() == "this manager has lost the others: find another one"
    monkeypatch.undo()
    await eventually(lambda: not world.dispatcher.standing.reason)
    async with world.peer() as peer:
        assert isinstance(await peer.hello(), wire.Complete)


async def test_a_worker_that_falls_silent_loses_its_session_and_its_node_is_down(world: World) -> None:
    cluster = Cluster(id="c")
    dispatcher = replace(cluster.spec.dispatcher, heartbeat_period=SECOND // 2)
    await world.store.commit([Put(replace(cluster, spec=replace(cluster.spec, dispatcher=dispatcher)))])
    async with world.peer() as peer:
        await peer.hello()
        assert await peer.farewell() == "nothing was heard of the node"
    await eventually(lambda: {n.status.state for n in world.store.view().all(Node)} == {"down"})


async def test_a_manager_that_stops_says_so_first(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        await world.dispatcher.stop()
        assert await peer.farewell() == "this manager stops"


async def test_a_node_hears_of_its_membership_and_of_each_change(world: World) -> None:
    cluster = Cluster(id="c", root_ca=RootCA(certificate="pem"), tls_info=TLSInfo(trust_root="pem"))
    boss = Node(id="boss", manager_status=ManagerStatus(addr="10.0.0.1:2377", reachability="reachable"))
    await world.store.commit([Put(cluster), Put(boss)])
    async with world.peer() as peer:
        told = wire.Membership(role="worker", managers=["10.0.0.1:2377"], roots="pem")
        assert await peer.hello() == told
        assert isinstance(await peer.receive(), wire.Complete)
        node = world.store.view().get(Node, "n1")
        assert node is not None
        await world.store.commit([Put(replace(node, spec=replace(node.spec, role="manager")))])
        assert await peer.receive() == replace(told, role="manager")
        second = replace(boss, id="b2", manager_status=ManagerStatus(addr="10.0.0.2:2377", reachability="reachable"))
        await world.store.commit([Put(second)])
        changed = await peer.receive()
        assert isinstance(changed, wire.Membership)
        assert set(changed.managers) == {"10.0.0.1:2377", "10.0.0.2:2377"}


async def test_strangers_and_nonsense_are_refused_in_a_sentence(world: World) -> None:
    async with world.peer() as peer:
        await peer.send(wire.Hello(node_id="nobody", description=NodeDescription()))
        assert await peer.farewell() == "node nobody is not part of this cluster"
    async with world.peer() as peer:
        await peer.send(wire.Hello(node_id="n1", description=NodeDescription(), protocol=99))
        assert await peer.farewell() == "the worker speaks protocol 99, this manager 1"
    async with world.peer() as peer:
        await peer.send(wire.Beat())
        assert await peer.farewell() == "a session begins with Hello, not Beat"
    async with world.peer() as peer:
        await peer.socket.send_bytes(b"\x93garbage")
        assert (await peer.farewell()).startswith("the message makes no sense")
    async with world.peer() as peer:
        await peer.socket.send_str("hello")
        assert await peer.farewell() == "a session begins with a Hello in one binary message"


async def test_nonsense_later_ends_the_session_only(world: World) -> None:
    async with world.peer() as peer, world.peer() as other:
        await peer.hello("n1")
        await other.hello("n2")
        await peer.socket.send_bytes(b"\xc1")
        assert (await peer.farewell()).startswith("the message makes no sense")
        await eventually(lambda: world.dispatcher.sessions == {"n2"})
        await world.store.commit([Put(task(2, "n2"))])
        assert isinstance(await other.receive(), wire.Incremental)


async def test_the_newer_session_of_a_node_stays(world: World) -> None:
    async with world.peer() as old, world.peer() as new:
        await old.hello()
        await new.hello()
        assert await old.farewell() == "the node began a new session"
        await world.store.commit([Put(task())])
        assert isinstance(await new.receive(), wire.Incremental)
        assert world.dispatcher.sessions == {"n1"}


async def test_a_node_that_is_removed_is_sent_away(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        node = world.store.view().get(Node, "n1")
        assert node is not None
        await world.store.commit([Delete(node)])
        assert await peer.farewell() == "the node was removed from the cluster"
    await eventually(lambda: not world.dispatcher.sessions)


# -- logs

WANTED = wire.LogRequest(id="", task_id="", follow=True)


async def request(peer: Peer) -> wire.LogRequest:
    message = await peer.receive()
    assert isinstance(message, wire.LogRequest)
    return message


def chunk(request: wire.LogRequest, text: bytes, **fields: object) -> wire.LogChunk:
    return wire.LogChunk(id=request.id, lines=[(NOW, 1, text)], **fields)  # type: ignore[arg-type]


async def test_a_log_comes_from_the_tasks_node(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        async with aclosing(world.dispatcher.logs(task(), WANTED)) as chunks:
            first = asyncio.ensure_future(anext(chunks))
            asked = await request(peer)
            assert (asked.task_id, asked.follow) == ("t1", True)
            await peer.send(chunk(asked, b"one\n"))
            assert (await first).lines == [(NOW, 1, b"one\n")]
            await peer.send(wire.LogChunk(id=asked.id, end=True))
            assert [c.end async for c in chunks] == [True]
        assert await peer.receive() == wire.LogMore(id=asked.id)
        assert await peer.receive() == wire.LogCancel(id=asked.id)


async def test_a_reader_that_leaves_cancels_the_request(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        reader = asyncio.ensure_future(anext(world.dispatcher.logs(task(), WANTED)))
        asked = await request(peer)
        reader.cancel()
        assert await peer.receive() == wire.LogCancel(id=asked.id)


async def test_a_lost_connection_ends_the_log_with_a_word(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        reader = asyncio.ensure_future(anext(world.dispatcher.logs(task(), WANTED)))
        await request(peer)
    last = await asyncio.wait_for(reader, 5)
    assert (last.end, last.error) == (True, "the connection to the task's node was lost")


async def test_a_worker_that_sends_more_than_it_may_is_sent_away(world: World) -> None:
    async with world.peer() as peer:
        await peer.hello()
        async with aclosing(world.dispatcher.logs(task(), WANTED)) as chunks:
            reader = asyncio.ensure_future(anext(chunks))
            asked = await request(peer)
            for _ in range(wire.LOG_WINDOW + 3):
                await peer.send(chunk(asked, b"x"))
            await reader
            assert await peer.farewell() == "more than 8 chunks of one log at once"


async def test_a_log_of_a_node_without_a_session_is_not_to_be_had(world: World) -> None:
    with pytest.raises(Unavailable, match="node n2 is not connected"):
        await anext(world.dispatcher.logs(task(2, "n2"), WANTED))
