"""Three managers in processes of their own, over mutual TLS, all killed at once while they snapshot: what was acknowledged
is there afterwards (another implementation lost 2,947 acknowledged writes to this)."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from common.identity import Identity
from tests.harness.identities import Root

MEMBER = """
import asyncio, json, sys
from pathlib import Path
import msgspec
import structlog
from aiohttp import web
sys.path.insert(0, "")
from common import http
from common.identity import Identity
from common.identity.tls import Tls
from manager.raft.joining import become_member, route
from manager.raft.log import RaftLog
from manager.raft.node import Options
from manager.raft.peers import Peers
from tests.harness.logs import Recorder
from tests.harness.raft_group import node_id

async def main():
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder, port, leader, life = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    identity = msgspec.json.decode(sys.stdin.readline(), type=Identity)
    tls, app = Tls(identity), http.application()
    app.router.add_route("*", "/{path:.*}", lambda request: handlers[request.path](request))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls.server).start()
    address = f"127.0.0.1:{runner.addresses[0][1]}"
    peers = Peers(identity.node_id, address, context=lambda: tls.client, identify=node_id)
    options = Options(tick=0.02, snapshot_every=50, keep=5)
    log = RaftLog(folder, identity.node_id, address=address, joins=bool(leader), keys=[bytes(32)], options=options, transport=peers)
    handlers = {r.path: r.handler for r in [*peers.routes(), route(log, node_id)]}
    machine = Recorder()
    async with log.run(machine):
        print(address, flush=True)
        if leader:
            await become_member(log, address, lambda: [leader], lambda: tls.client)
        await log.barrier()
        print(json.dumps([item.decode() for item in machine.data]), flush=True)
        async def write(worker):
            for n in range(100_000):
                entry = f"{identity.node_id}.{life}.{worker}.{n}"
                try:
                    await log.propose(entry.encode())
                except Exception:
                    continue
                print(entry, flush=True)
        if life:
            await asyncio.gather(*map(write, range(4)))
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


class Managers:
    def __init__(self, folder: Path) -> None:
        root = Root()
        self._folder = folder
        self._identities: dict[str, Identity] = {id: root.identity(id) for id in ("a", "b", "c")}
        self.addresses: dict[str, str] = {}
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, id: str, leader: str = "", life: str = "") -> None:
        port = self.addresses.get(id, ":0").rpartition(":")[2]
        command = [sys.executable, "-c", MEMBER, str(self._folder / id), port, leader, life]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running[id] = process
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(self._identities[id]).decode() + "\n")
        process.stdin.flush()
        self.addresses[id] = self.line(id)

    def line(self, id: str) -> str:
        out = self.running[id].stdout
        assert out is not None
        return out.readline().strip()

    def kill_all(self) -> set[str]:
        """At once; what they had acknowledged by then, as far as it was not read yet."""
        for process in self.running.values():
            process.send_signal(signal.SIGKILL)
        told: set[str] = set()
        for process in self.running.values():
            assert process.stdout is not None
            told |= {line.strip() for line in process.stdout if line.endswith("\n")}
            with process:
                pass
        self.running.clear()
        return told


@contextmanager
def managers(folder: Path) -> Iterator[Managers]:
    made = Managers(folder)
    try:
        yield made
    finally:
        made.kill_all()


def live_and_die(group: Managers, life: str) -> set[str]:
    """All write until each has told of some hundred entries; then all are killed. Returns what they had told."""
    leader = group.addresses.get("a", "")
    for id in ("a", "b", "c"):
        group.start(id, leader if id != "a" else "", life)
        leader = leader or group.addresses["a"]
    for id in ("a", "b", "c"):
        json.loads(group.line(id))
    told = {group.line(id) for id in ("a", "b", "c") for _ in range(150)}
    return told | group.kill_all()


async def test_nothing_acknowledged_is_lost_when_all_are_killed_during_snapshots(tmp_path: Path) -> None:
    with managers(tmp_path) as group:
        acknowledged: set[str] = set()
        for life in ("1", "2"):
            acknowledged |= await asyncio.to_thread(live_and_die, group, life)
        for id in ("a", "b", "c"):
            group.start(id)
        for id in ("a", "b", "c"):
            kept = json.loads(await asyncio.to_thread(group.line, id))
            assert acknowledged <= set(kept), f"{id} lost {len(acknowledged - set(kept))} of {len(acknowledged)}"
            assert len(kept) == len(set(kept)), "an entry is there twice"
