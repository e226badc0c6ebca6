"""Workers and several managers over mutual TLS: who has the session, who hears of it, and what happens when a manager fails."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from common import http, wire
from common.errors import Unavailable
from common.identity.tls import Tls
from common.model import SECOND, Cluster, Node, NodeSpec, Task, TaskState
from common.model.node import ManagerStatus
from common.settings import Settings
from manager.ca.guard import Guard
from manager.dispatcher import Dispatcher
from manager.dispatcher.others import RemoteOthers
from manager.store.base import Change, Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from tests.conformance.test_session import FakeNetworks, lines
from tests.harness.identities import Root
from tests.harness.manager import free_port
from tests.harness.proxy import Proxy
from tests.harness.tasks import FakeHost, FixedMembership
from tests.harness.wait import eventually
from tests.unit.dispatcher.objects import CLUSTER, task
from worker.session.base import Phase
from worker.session.client import Session

ROOT = Root()


class Boss:
    """One of several managers over the same store; the first leads."""

    def __init__(self, name: str, addresses: dict[str, str], store: StateStore) -> None:
        self.name, self.address = name, addresses[name]
        self.tls = Tls(ROOT.identity(name))
        leading = next(iter(addresses))
        self.others = RemoteOthers(
            lambda: "" if name == leading else addresses[leading],
            lambda: [address for other, address in addresses.items() if other != name],
            lambda: self.tls.client,
        )
        self.dispatcher = Dispatcher(store, others=self.others)
        self._store = store
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        await self._stack.enter_async_context(self.others.open())
        app = http.application()
        app.middlewares.append(Guard(self._store, "cluster0").check)
        app.add_routes(self.dispatcher.routes())
        app.on_shutdown.append(self.dispatcher.stop)
        runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        host, _, port = self.address.rpartition(":")
        await web.TCPSite(runner, host, int(port), ssl_context=self.tls.server).start()
        running = asyncio.create_task(self.dispatcher.run())
        self._stack.push_async_callback(_end, running)

    async def stop(self) -> None:
        await self._stack.aclose()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


class RemoteMembership(FixedMembership):
    """A worker's place among managers over the network."""

    def __init__(self, node_id: str, managers: Sequence[str]) -> None:
        super().__init__(node_id, Path("/nowhere"))
        self._managers = [*managers]
        self._tls = Tls(ROOT.identity(node_id, role="worker"))

    def client_context(self) -> ssl.SSLContext:  # type: ignore[override]
        return self._tls.client


def manager_node(name: str, address: str) -> Node:
    status = ManagerStatus(addr=address, reachability="reachable")
    return Node(id=name, spec=NodeSpec(role="manager"), manager_status=status)


class World:
    def __init__(self, folder: Path, store: StateStore, bosses: dict[str, Boss]) -> None:
        self.folder = folder
        self.store = store
        self.bosses = bosses
        self.host = FakeHost()

    @asynccontextmanager
    async def worker(self, *managers: str, run: str = "1") -> AsyncIterator[RemoteMembership]:
        settings = Settings(root=self.folder / run, state=self.folder)
        engine: Any = SimpleNamespace(settings=settings, networks=FakeNetworks())
        membership = RemoteMembership("n1", managers or [boss.address for boss in self.bosses.values()])
        running = asyncio.create_task(Session(engine, membership, self.host).run())
        try:
            yield membership
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def holders(self) -> list[str]:
        return [name for name, boss in self.bosses.items() if "n1" in boss.dispatcher.sessions]

    def state(self, id: str = "t1") -> TaskState:
        found = self.store.view().get(Task, id)
        assert found is not None
        return found.status.state

    def node(self) -> str:
        found = self.store.view().get(Node, "n1")
        assert found is not None
        return found.status.state

    async def settled(self) -> str:
        """The manager that has the session, once the task runs."""
        await eventually(lambda: self.state() is TaskState.RUNNING and len(self.holders()) == 1)
        return self.holders()[0]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_store(MemoryLog()) as store:
        await store.commit([*CLUSTER, Put(task())])
        addresses = {name: f"127.0.0.1:{free_port()}" for name in ("a", "b", "c")}
        await store.commit([Put(manager_node(name, address)) for name, address in addresses.items()])
        bosses = {name: Boss(name, addresses, store) for name in addresses}
        for boss in bosses.values():
            await boss.start()
        yield World(tmp_path, store, bosses)
        for boss in bosses.values():
            await boss.stop()


async def test_a_worker_moves_within_a_second_when_its_manager_ends_and_nothing_restarts(world: World) -> None:
    async with world.worker():
        first = await world.settled()
        calls = list(world.host.calls)
        began = time.monotonic()
        await world.bosses[first].stop()
        await eventually(lambda: [name for name in world.holders() if name != first] != [])
        assert time.monotonic() - began < 1.0
        await world.store.commit([Put(task(2))])
        await eventually(lambda: world.state("t2") is TaskState.RUNNING)
        assert [call for call in world.host.calls if call[1] == "t1"] == [c for c in calls if c[1] == "t1"]


async def test_a_worker_leaves_a_manager_that_hangs(world: World) -> None:
    a, b = world.bosses["a"], world.bosses["b"]
    async with Proxy(a.address).run() as proxy, world.worker(proxy.address) as membership:
        assert await world.settled() == "a"
        membership._managers.append(b.address)
        proxy.freeze()
        began = time.monotonic()
        await eventually(lambda: "b" in world.holders())
        assert 1.5 < time.monotonic() - began < 4.0
        assert world.node() == "ready"


async def test_a_manager_that_hangs_from_the_start_is_passed_over(world: World) -> None:
    async with Proxy(world.bosses["a"].address).run() as proxy:
        proxy.freeze()
        began = time.monotonic()
        async with world.worker(proxy.address, world.bosses["b"].address):
            assert await world.settled() == "b"
        assert time.monotonic() - began < 2.0


async def test_a_follower_passes_on_whom_it_hears(world: World) -> None:
    cluster = Cluster(id="c")
    dispatcher = replace(cluster.spec.dispatcher, heartbeat_period=SECOND)
    await world.store.commit([Put(replace(cluster, spec=replace(cluster.spec, dispatcher=dispatcher)))])
    async with world.worker(world.bosses["b"].address):
        assert await world.settled() == "b"
        # n2 never comes and is down once the grace is over: by then n1 would be too, had the leader not heard of it.
        await eventually(
            lambda: [n.id for n in world.store.view().all(Node) if n.status.state == "down"] == ["n2", "a", "b", "c"]
        )
        assert world.node() == "ready"
    await eventually(lambda: world.node() == "down")


async def test_a_manager_that_cannot_reach_the_leader_sends_its_workers_away(world: World) -> None:
    b = world.bosses["b"]
    async with world.worker(b.address) as membership:
        assert await world.settled() == "b"
        b.others.leader = lambda: "127.0.0.1:1"  # type: ignore[method-assign]
        membership._managers.append(world.bosses["c"].address)
        await eventually(lambda: world.holders() == ["c"])
        assert world.node() == "ready"


async def test_what_a_manager_could_not_commit_is_reported_to_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(changes: Sequence[Change], *, leading: bool = False) -> int:
        raise Unavailable("no quorum")

    stuck = SimpleNamespace(view=world.store.view, commit=commit)
    b = world.bosses["b"]
    monkeypatch.setattr(b.dispatcher._parts.statuses, "_store", stuck)
    async with world.worker(b.address) as membership:
        await eventually(lambda: world.host.containers["t1"].phase is Phase.RUNNING if world.host.containers else False)
        assert world.state() is TaskState.ASSIGNED
        membership._managers.append(world.bosses["c"].address)
        await eventually(lambda: world.state() is TaskState.RUNNING)
        assert world.holders() == ["c"]
        assert [what for what, _ in world.host.calls] == ["prepare", "start"]


async def test_a_cloned_identity_is_refused_and_the_first_stays(world: World) -> None:
    a, b = world.bosses["a"].dispatcher, world.bosses["b"].dispatcher
    async with world.worker(world.bosses["a"].address, run="first"):
        assert await world.settled() == "a"
        first = a._sessions["n1"]
        host, world.host = world.host, FakeHost()
        async with world.worker(world.bosses["b"].address, run="second"):
            session = await _refused(b)
            assert session.startswith("another machine is node n1 too: `swarm leave --force`")
            assert (a._sessions["n1"], world.holders()) == (first, ["a"])
        assert world.host.calls == []
        world.host = host


async def _refused(dispatcher: Dispatcher) -> str:
    """The reason that the dispatcher gives to the next session which it refuses."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    refuse = dispatcher._refuse

    async def listen(socket: Any, error: BaseException, peer: Any) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if not told.done():
            told.set_result(str(error))
        await refuse(socket, error, peer)

    dispatcher._refuse = listen  # type: ignore[method-assign]
    return await asyncio.wait_for(told, 10)


async def test_a_daemon_that_was_started_anew_is_let_in_at_once(world: World) -> None:
    async with world.worker(world.bosses["a"].address):
        await world.settled()
    async with world.worker(world.bosses["b"].address):
        began = time.monotonic()
        await eventually(lambda: world.holders() == ["b"])
        assert time.monotonic() - began < 1.0


async def test_a_daemon_whose_machine_died_is_let_in_once_the_old_connection_says_nothing(world: World) -> None:
    async with Proxy(world.bosses["a"].address).run() as proxy:
        async with world.worker(proxy.address):
            await world.settled()
            proxy.freeze()
        async with world.worker(world.bosses["b"].address):
            began = time.monotonic()
            await eventually(lambda: "b" in world.holders())
            assert time.monotonic() - began < 3.0


async def test_a_log_is_read_through_any_manager(world: World) -> None:
    async with world.worker(world.bosses["a"].address):
        await world.settled()
        world.host.logs["container-of-t1"] = lines(1000)
        read = []
        async with aclosing(world.bosses["c"].dispatcher.logs(task(), wire.LogRequest(id="", task_id=""))) as chunks:
            async for chunk in chunks:
                assert chunk.error == ""
                read += [line for _, _, line in chunk.lines]
        assert read == [f"line {number}\n".encode() for number in range(1000)]
    await eventually(lambda: not world.holders())
    with pytest.raises(Unavailable, match="node n1 is not connected"):
        await anext(world.bosses["c"].dispatcher.logs(task(), wire.LogRequest(id="", task_id="")))
