"""A group of managers' Raft logs in one process: real time and disks, over a network that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from common import http
from common.errors import Unavailable
from common.identity.tls import Tls, peer_of
from manager.raft.core import Config, InstallSnapshot, Message, Settings
from manager.raft.log import RaftLog
from manager.raft.node import Options
from manager.raft.peers import Peers
from tests.harness.identities import Root
from tests.harness.logs import Recorder
from tests.harness.wait import eventually

replace = msgspec.structs.replace
OPTIONS = Options(tick=0.01, patience=400, snapshot_every=20, keep=5, core=Settings(election=20, heartbeat=4))


class Line:
    """One member's transport: function calls, as strict about births as the real one."""

    def __init__(self, network: CallNetwork, member: str) -> None:
        self._network = network
        self._member = member
        self.births: dict[str, str] = {}

    @asynccontextmanager
    async def run(
        self, birth: str, deliver: Callable[[Message], None], lost: Callable[[str], None]
    ) -> AsyncIterator[None]:
        self._network.up[self._member] = birth, deliver
        try:
            yield
        finally:
            del self._network.up[self._member]

    def members(self, config: Config) -> None:
        self.births |= config.births

    def send(self, message: Message) -> None:
        asyncio.get_running_loop().call_soon(self._network.carry, message, self.births)

    async def send_snapshot(self, message: InstallSnapshot, data: Iterator[bytes]) -> None:
        whole = replace(message, snapshot=replace(message.snapshot, data=b"".join(data)))
        if not self._network.carry(whole, self.births):
            raise Unavailable(f"{message.to} is not there")


class CallNetwork:
    """Function calls. `up`: the birth of each member that runs, and what takes its messages. `cut`: who is cut off."""

    def __init__(self) -> None:
        self.up: dict[str, tuple[str, Callable[[Message], None]]] = {}
        self.cut: set[str] = set()
        self.lines: dict[str, Line] = {}

    def transport(self, member: str) -> Line:
        self.lines[member] = Line(self, member)
        return self.lines[member]

    def address(self, member: str) -> str:
        return f"{member}.example:2377"

    def carry(self, message: Message, births: dict[str, str]) -> bool:
        if message.to not in self.up or {message.sender, message.to} & self.cut:
            return False
        birth, deliver = self.up[message.to]
        if message.sender in self.up:  # whoever hears from a member learns its birth
            self.lines[message.to].births.setdefault(message.sender, self.up[message.sender][0])
        if births.get(message.to, "") != birth:
            return False
        deliver(message)
        return True


class Reached(Peers):
    """The real transport, except towards and from members that are cut off."""

    def __init__(self, network: TlsNetwork, member: str, tls: Tls) -> None:
        super().__init__(member, network.address(member), context=lambda: tls.client, identify=node_id)
        self._network = network

    def run(
        self, birth: str, deliver: Callable[[Message], None], lost: Callable[[str], None]
    ) -> AbstractAsyncContextManager[None]:
        def take(message: Message) -> None:
            if not self._network.cuts(message):
                deliver(message)

        return super().run(birth, take, lost)

    def send(self, message: Message) -> None:
        if not self._network.cuts(message):
            super().send(message)


def node_id(request: web.Request) -> str | None:
    peer = peer_of(request)
    return peer.node_id if peer else None


class TlsNetwork:
    """Mutual TLS on loopback: each of `ids` listens, whether its log runs or not."""

    def __init__(self, *ids: str) -> None:
        self.root = Root()
        self.tls = {id: Tls(self.root.identity(id)) for id in ids}
        self._ports: dict[str, int] = {}
        self._peers: dict[str, Reached | None] = dict.fromkeys(ids)
        self.routes: dict[str, list[web.RouteDef]] = {}  # what a member serves beside its transport
        self.cut: set[str] = set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for id in self.tls:
                self._ports[id] = await stack.enter_async_context(self._listen(id))
            yield

    def transport(self, member: str) -> Reached:
        made = self._peers[member] = Reached(self, member, self.tls[member])
        return made

    def address(self, member: str) -> str:
        return f"127.0.0.1:{self._ports[member]}"

    def cuts(self, message: Message) -> bool:
        return bool({message.sender, message.to} & self.cut)

    @asynccontextmanager
    async def _listen(self, id: str) -> AsyncIterator[int]:
        async def serve(request: web.Request) -> web.StreamResponse:
            peers = self._peers[id]
            if peers is None:
                raise Unavailable(f"{id} is down")
            routes = [*peers.routes(), *self.routes.get(id, [])]
            handler = next(route.handler for route in routes if route.path == request.path)
            answer = await handler(request)  # type: ignore[arg-type, misc]
            assert isinstance(answer, web.StreamResponse)
            return answer

        app = http.application()
        app.router.add_route("*", "/{path:.*}", serve)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.tls[id].server).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


Network = CallNetwork | TlsNetwork


class Group:
    """Members by id, over `network`."""

    def __init__(self, folder: Path, network: Network, options: Options = OPTIONS) -> None:
        self._folder = folder
        self._network = network
        self._options = options
        self.logs: dict[str, RaftLog] = {}
        self.machines: dict[str, Recorder] = {}
        self._lives: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    def folder(self, id: str) -> Path:
        return self._folder / id

    def address(self, id: str) -> str:
        return self._network.address(id)

    async def start(self, id: str, *, joins: bool = False, force_new: bool = False) -> RaftLog:
        log = RaftLog(
            self.folder(id),
            id,
            address=self.address(id),
            joins=joins,
            force_new=force_new,
            options=self._options,
            transport=self._network.transport(id),
        )
        machine, opened, end = Recorder(), asyncio.Event(), asyncio.Event()

        async def live() -> None:
            async with log.run(machine):
                opened.set()
                await end.wait()

        life = asyncio.ensure_future(live())
        waiting = asyncio.ensure_future(opened.wait())
        await asyncio.wait((life, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if life.done():
            life.result()
        self.logs[id], self.machines[id], self._lives[id] = log, machine, (life, end)
        return log

    async def stop(self, id: str) -> None:
        """A clean end, as by SIGTERM."""
        del self.logs[id]
        life, end = self._lives.pop(id)
        end.set()
        await life

    async def kill(self, id: str) -> None:
        """An end without goodbye."""
        self.logs[id]._running().stop()
        await self.stop(id)

    async def close(self) -> None:
        for id in list(self.logs):
            await self.stop(id)

    async def join(self, id: str) -> RaftLog:
        """Start `id` with an empty folder, and let the leader add it."""
        log = await self.start(id, joins=True)
        leader = await self.leader()
        await self.logs[leader].add(id, self.address(id), log.birth)
        return log

    async def begin(self, *ids: str) -> None:
        """A group of one that grows to `ids`."""
        await self.start(ids[0])
        for id in ids[1:]:
            await self.join(id)

    async def leader(self, *among: str) -> str:
        """Who leads of `among` (of all, where none are named), once somebody does."""
        found: list[str] = []

        def leads() -> bool:
            found[:] = [id for id, log in self.logs.items() if log.is_leader() and (not among or id in among)]
            return bool(found)

        await eventually(leads)
        return found[0]

    async def others(self) -> list[str]:
        leader = await self.leader()
        return [id for id in self.logs if id != leader]

    async def equal(self, *among: str) -> None:
        """Until all have applied the same."""
        ids = among or tuple(self.logs)
        await eventually(lambda: len({tuple(self.machines[id].applied) for id in ids}) == 1)

    async def write(self, id: str, *entries: bytes) -> None:
        await asyncio.gather(*(self.logs[id].propose(entry) for entry in entries))
