"""A whole session over a real WebSocket on a UNIX socket, with a manager that follows a script and containers in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from common import wire
from common.model import Network, TaskState
from common.settings import Settings
from common.wire import Complete, Hello, Incremental, LogChunk, LogRequest, StatusBatch, Welcome
from tests.harness.tasks import FakeHost, FixedMembership, network, task, wanted
from tests.harness.wait import eventually
from worker.runtime.base import LogLine
from worker.session.base import Phase
from worker.session.client import Session

PATIENCE = 5.0  # seconds


class FakeNetworks:
    """A ClusterNetworks that writes down what it is told."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.endpoints: list[wire.ServiceEndpoint] = []

    def guests(self) -> list[str]:
        return ["own"]

    async def ensure(self, network: Network) -> None:
        self.known.add(network.id)

    async def forget_idle(self, needed: Callable[[], set[str]]) -> None:
        self.known &= needed()

    async def reach(self, peers: list[wire.Peer]) -> None: ...

    async def program(self, endpoints: list[wire.ServiceEndpoint]) -> None:
        self.endpoints = endpoints


class Peer:
    """The manager's end of one session."""

    def __init__(self, socket: web.WebSocketResponse, hello: Hello) -> None:
        self.socket = socket
        self.hello = hello
        self.states: dict[str, list[TaskState]] = {}
        self.chunks: list[LogChunk] = []

    async def send(self, message: wire.Message) -> None:
        await self.socket.send_bytes(wire.encode(message))

    async def receive(self) -> wire.FromWorker:
        message = wire.decode_from_worker(await asyncio.wait_for(self.socket.receive_bytes(), PATIENCE))
        if isinstance(message, StatusBatch):
            for update in message.updates:
                self.states.setdefault(update.task_id, []).append(update.status.state)
        if isinstance(message, LogChunk):
            self.chunks.append(message)
        return message

    async def until_closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.socket.closed:
                await self.socket.receive()

    async def until_state(self, id: str, state: TaskState) -> None:
        while state not in self.states.get(id, []):
            await self.receive()


class World:
    """One worker whose daemon can be restarted, and a manager that tests speak for."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(root=folder / "root", state=folder)
        self.host = FakeHost()
        self.networks = FakeNetworks()
        self.membership = FixedMembership("node", self.settings.manager_socket)
        self.sessions: asyncio.Queue[Peer] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.silence = 60.0

    async def accept(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        hello = wire.decode_from_worker(await socket.receive_bytes())
        assert isinstance(hello, Hello)
        await socket.send_bytes(wire.encode(Welcome(node_id=hello.node_id, heartbeat=0.05, silence=self.silence)))
        self.sessions.put_nowait(Peer(socket, hello))
        await self.ended.wait()
        return socket

    @asynccontextmanager
    async def manager(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/shoal/v1/session", self.accept)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(self.settings.manager_socket)).start()
        try:
            yield
        finally:
            self.ended.set()
            await runner.cleanup()
            self.ended.clear()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Session]:
        engine: Any = SimpleNamespace(settings=self.settings, networks=self.networks)
        session = Session(engine, self.membership, self.host)
        running = asyncio.create_task(session.run())
        try:
            yield session
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def peer(self) -> Peer:
        return await asyncio.wait_for(self.sessions.get(), PATIENCE)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_task_comes_up_and_goes(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        assert (peer.hello.node_id, peer.hello.digest) == ("node", "")
        assert peer.hello.description.resources.nano_cpus > 0
        endpoint = wire.ServiceEndpoint(service_id="s", service_name="web", network_id="n")
        mine = task(networks=("n",))
        await peer.send(
            Complete(
                sequence=1, assignments=wanted(mine, networks={"n": network("n")}, endpoints={endpoint.id: endpoint})
            )
        )
        await peer.until_state("t1", TaskState.RUNNING)
        assert world.networks.known == {"n"}
        assert world.networks.endpoints == [endpoint]
        await peer.send(
            Incremental(sequence=2, removed={"tasks": ["t1"], "networks": ["n"], "endpoints": [endpoint.id]})
        )
        await eventually(lambda: not world.host.containers and not world.networks.known)
        assert world.networks.endpoints == []


async def test_the_worker_goes_on_without_managers_and_catches_up(world: World) -> None:
    async with world.worker():
        async with world.manager():
            peer = await world.peer()
            await peer.send(Complete(sequence=1, assignments=wanted(task())))
            await peer.until_state("t1", TaskState.RUNNING)
        world.host.change("t1", phase=Phase.EXITED, exit_code=1)
        await eventually(lambda: world.host.containers["t1"].phase is Phase.EXITED)
        async with world.manager():
            peer = await world.peer()
            assert peer.hello.digest == wire.digest(wanted(task()))
            await peer.send(Incremental(sequence=1))
            await peer.until_state("t1", TaskState.FAILED)


async def test_a_new_daemon_adopts_before_any_manager_answers(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.send(Complete(sequence=1, assignments=wanted(task())))
        await peer.until_state("t1", TaskState.RUNNING)
    calls = list(world.host.calls)
    async with world.worker(), world.manager():
        peer = await world.peer()
        assert peer.hello.digest == ""
        await peer.send(Complete(sequence=9, assignments=wanted(task())))
        await peer.until_state("t1", TaskState.RUNNING)
    assert world.host.calls == calls


async def test_containers_of_unknown_tasks_go_only_when_a_manager_has_spoken(world: World) -> None:
    await world.host.prepare(task("ghost"), wanted())
    async with world.worker(), world.manager():
        peer = await world.peer()
        assert "ghost" in world.host.containers
        await peer.send(Complete(sequence=1, assignments=wanted()))
        await eventually(lambda: "ghost" not in world.host.containers)


async def test_a_disk_that_cannot_be_written_stops_no_task(world: World) -> None:
    world.settings.root.write_text("a file where a folder is needed")
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.send(Complete(sequence=1, assignments=wanted(task())))
        await peer.until_state("t1", TaskState.RUNNING)


async def test_a_gap_makes_a_new_session(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.send(Complete(sequence=1, assignments=wanted()))
        await peer.send(Incremental(sequence=3, changed=wanted(task())))
        await peer.until_closed()
        again = await world.peer()
        assert again.hello.sequence == 1
        assert world.host.calls == []


async def test_a_garbled_message_makes_a_new_session(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.socket.send_bytes(b"\xc1garbage")
        await peer.until_closed()
        await world.peer()


async def test_another_identity_begins_anew_and_the_old_clusters_tasks_go(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.send(Complete(sequence=1, assignments=wanted(task())))
        await peer.until_state("t1", TaskState.RUNNING)
        world.membership.become("other")
        await peer.until_closed()
        again = await world.peer()
        assert (again.hello.node_id, again.hello.digest) == ("other", "")
        assert again.hello.instance == peer.hello.instance
        assert "t1" in world.host.containers
        await again.send(Complete(sequence=1, assignments=wanted(task("t2"))))
        await again.until_state("t2", TaskState.RUNNING)
        await eventually(lambda: list(world.host.containers) == ["t2"])


async def test_a_node_that_leaves_forgets_its_tasks_and_networks(world: World) -> None:
    async with world.manager(), world.worker() as session:
        peer = await world.peer()
        mine = wanted(task(networks=("n",)), networks={"n": network("n")})
        await peer.send(Complete(sequence=1, assignments=mine))
        await peer.until_state("t1", TaskState.RUNNING)
        await asyncio.wait_for(session.forget(), PATIENCE)
        assert (world.host.containers, world.networks.known) == ({}, set())
        again = await world.peer()
        assert again.hello.digest == wire.digest(wanted())
    assert (world.settings.root / "session" / "assignments").exists()


async def test_what_a_manager_says_of_the_membership_is_handed_on(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        told = wire.Membership(role="manager", managers=["10.0.0.1:2377"], renew=True)
        await peer.send(told)
        await eventually(lambda: world.membership.messages == [told])


async def test_a_manager_that_falls_silent_is_left(world: World) -> None:
    world.silence = 0.2
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.until_closed()
        await world.peer()


async def test_a_manager_that_answers_is_kept(world: World) -> None:
    world.silence = 0.4
    async with world.manager(), world.worker():
        peer = await world.peer()
        for _ in range(16):
            assert isinstance(await peer.receive(), wire.Beat)
            await peer.send(wire.Beat())
        assert world.sessions.empty()


async def test_beats_keep_the_session_alive(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        assert isinstance(await peer.receive(), wire.Beat)
        assert isinstance(await peer.receive(), wire.Beat)


def lines(count: int) -> list[LogLine]:
    return [LogLine(time.time_ns(), 1 + number % 2, f"line {number}\n".encode()) for number in range(count)]


@pytest.mark.parametrize(("options", "expected"), [({}, 3000), ({"tail": 10}, 10), ({"stderr": False}, 1500)])
async def test_logs_are_sent_in_chunks_and_closed(world: World, options: dict[str, Any], expected: int) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.send(Complete(sequence=1, assignments=wanted(task())))
        await peer.until_state("t1", TaskState.RUNNING)
        world.host.logs["container-of-t1"] = lines(3000)
        await peer.send(LogRequest(id="r", task_id="t1", **options))
        while not (peer.chunks and peer.chunks[-1].end):
            await peer.receive()
        assert sum(len(chunk.lines) for chunk in peer.chunks) == expected
        assert [chunk.error for chunk in peer.chunks if chunk.error] == []


async def test_a_log_that_cannot_be_read_says_why(world: World) -> None:
    async with world.manager(), world.worker():
        peer = await world.peer()
        await peer.send(Complete(sequence=1, assignments=wanted(task())))
        await peer.until_state("t1", TaskState.RUNNING)
        await peer.send(LogRequest(id="r", task_id="t1"))
        while not peer.chunks:
            await peer.receive()
        assert peer.chunks == [LogChunk(id="r", end=True, error="No such container: container-of-t1")]
