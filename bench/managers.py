"""The store over three managers, each a process with its own disk, log and fsync, over mutual TLS, beside an etcd of three.

The clients are coroutines of one Python process, for both: with us that of the leading manager, where the API's handlers run,
with etcd one that holds a connection for each client. etcd's members speak to one another and to the client without TLS.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import structlog
from aiohttp import web

from bench.consensus import PROPOSERS, lone_commits, many_commits
from bench.etcd_log import lone_puts, many_puts
from bench.figure import Figure
from common import http
from common.identity import Identity
from common.identity.tls import Tls, peer_of
from manager.etcd.client import Client
from manager.raft.joining import become_member, route
from manager.raft.log import RaftLog
from manager.raft.peers import Peers
from manager.store.store import StateStore, open_store
from tests.harness.etcd import etcd
from tests.harness.identities import Root

KEY = bytes(32)  # all logs are sealed


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
        lone, rate = asyncio.run(measure(Path(folder)))
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder, etcd(3, where=Path(folder)) as servers:
        lone_put, put_rate = asyncio.run(measure_etcd([servers.leader.url]))
    return [
        Figure(name="managers_commit_1", value=lone * 1000, unit="ms", peer="etcd put", peer_value=lone_put * 1000),
        Figure(name=f"managers_commits_{PROPOSERS}", value=rate, unit="1/s", peer="etcd puts", peer_value=put_rate),
    ]


async def measure(folder: Path) -> tuple[float, float]:
    root = Root()
    async with manager(folder / "one", root.identity("one"), "") as (store, address):
        with ExitStack() as stack:
            for name in ("two", "three"):
                told = stack.enter_context(another(folder / name, root.identity(name), address))
                assert await asyncio.to_thread(told.readline) == "voter\n"
            return await lone_commits(store), await many_commits(store)


async def measure_etcd(urls: list[str]) -> tuple[float, float]:
    async with Client(urls) as client:
        return await lone_puts(client), await many_puts(client)


@asynccontextmanager
async def manager(folder: Path, identity: Identity, leader: str) -> AsyncIterator[tuple[StateStore, str]]:
    """A manager's log and store, as a member of `leader`'s group, or of its own; and where it listens."""
    tls = Tls(identity)
    app = http.application()
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    app.router.add_route("*", "/{path:.*}", lambda request: handlers[request.path](request))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server).start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        peers = Peers(identity.node_id, address, context=lambda: tls.client, identify=_node_id)
        log = RaftLog(folder, identity.node_id, address=address, joins=bool(leader), keys=[KEY], transport=peers)
        handlers = {found.path: found.handler for found in [*peers.routes(), route(log, _node_id)]}
        async with open_store(log) as store:
            if leader:
                await become_member(log, address, lambda: [leader], lambda: tls.client)
            yield store, address
    finally:
        await runner.cleanup()


def _node_id(request: web.Request) -> str | None:
    peer = peer_of(request)
    return peer.node_id if peer else None


@contextmanager
def another(folder: Path, identity: Identity, leader: str) -> Iterator:  # type: ignore[type-arg]
    """A manager in a process of its own, as long as the context is open; what it tells."""
    command = [sys.executable, "-m", "bench.managers", str(folder), leader]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(identity).decode() + "\n")
        process.stdin.flush()
        yield process.stdout
        process.stdin.close()


async def member(folder: Path, leader: str) -> None:
    """Such a process: until its standard input ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    identity = msgspec.json.decode(sys.stdin.readline(), type=Identity)
    async with manager(folder, identity, leader):
        print("voter", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(member(Path(sys.argv[1]), sys.argv[2]))
