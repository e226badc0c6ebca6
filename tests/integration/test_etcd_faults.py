"""The log over three members of etcd, on bad days: nothing acknowledged is lost, nothing counts twice, no two lead."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from common.errors import Unavailable
from manager.etcd.log import EtcdLog
from manager.etcd.wire import after
from tests.harness.etcd import Etcd, EtcdMember, etcd
from tests.harness.logs import Recorder, etcd_log
from tests.harness.wait import eventually

Replica = tuple[EtcdLog, Recorder]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Etcd]:
    with etcd(3) as running:
        yield running


@pytest.fixture(autouse=True)
def whole(cluster: Etcd) -> Iterator[None]:
    yield
    cluster.start()


@asynccontextmanager
async def replicas(cluster: Etcd, folder: Path, count: int = 3, **options: float) -> AsyncIterator[list[Replica]]:
    """Each begins with another member of etcd."""
    async with AsyncExitStack() as stack:
        opened = []
        for n in range(count):
            urls = cluster.urls[n:] + cluster.urls[:n]
            log, machine = etcd_log(urls, str(folder), f"r{n}", **options), Recorder()
            await stack.enter_async_context(log.run(machine))
            opened.append((log, machine))
        yield opened


class Load:
    """Writers on every replica that never write anything twice, and remember what was acknowledged."""

    def __init__(self, opened: list[Replica]) -> None:
        self._opened = opened
        self.acknowledged: set[bytes] = set()
        self._attempt = 0

    async def write(self, log: EtcdLog) -> None:
        while True:
            self._attempt += 1
            data = b"%d" % self._attempt
            with suppress(Unavailable):
                await log.propose(data)
                self.acknowledged.add(data)

    async def during(self, fault: Callable[[], None]) -> None:
        """Let writers run before, during and after `fault`; they have to get through after it."""
        writers = [asyncio.ensure_future(self.write(log)) for log, _ in self._opened for _ in range(4)]
        try:
            await self.goes_on()
            await asyncio.to_thread(fault)
            await self.goes_on()
        finally:
            for writer in writers:
                writer.cancel()
            await asyncio.wait(writers)

    async def goes_on(self) -> None:
        before = len(self.acknowledged)
        await eventually(lambda: len(self.acknowledged) > before + 200, timeout=30)

    async def check(self) -> None:
        await asyncio.gather(*(log.barrier() for log, _ in self._opened))
        machines = [machine for _, machine in self._opened]
        assert all(machine.applied == machines[0].applied for machine in machines)
        written = machines[0].data
        assert len(set(written)) == len(written)
        assert self.acknowledged <= set(written)


async def test_the_leading_member_of_etcd_is_killed_under_load(cluster: Etcd, tmp_path: Path) -> None:
    async with replicas(cluster, tmp_path, snapshot_every=300) as opened:
        load = Load(opened)
        for _ in range(2):
            await load.during(lambda: cluster.leader.kill())
            await load.check()
            await asyncio.to_thread(cluster.start)


async def test_compaction_and_defragmentation_under_load(cluster: Etcd, tmp_path: Path) -> None:
    def fault() -> None:
        for member in cluster.members * 3:
            member.compact()
            member.defragment()

    async with replicas(cluster, tmp_path, snapshot_every=100) as opened:
        load = Load(opened)
        await load.during(fault)
        await load.check()


async def test_a_member_that_hangs_is_left(cluster: Etcd, tmp_path: Path) -> None:
    """The one that replica 0 watches and asks, stopped in mid-air: connections to it stay open and silent."""
    frozen = cluster.members[0]
    async with replicas(cluster, tmp_path) as opened:
        load = Load(opened)
        try:
            await load.during(frozen.pause)
            async with asyncio.timeout(20):
                await load.check()
        finally:
            frozen.resume()


async def test_a_watch_on_a_member_without_quorum_ends(cluster: Etcd, tmp_path: Path) -> None:
    async with replicas(cluster, tmp_path, count=1, patience=2) as [(log, machine)]:
        await log.propose(b"before")
        for member in cluster.members[1:]:
            await asyncio.to_thread(member.kill)
        with pytest.raises(Unavailable, match=r"no member of etcd at .* answers|did not take the change in time"):
            await log.propose(b"during")
        with pytest.raises(Unavailable, match=r"no member of etcd at .* answers|does not answer in time"):
            await log.barrier()
        await asyncio.to_thread(cluster.start)
        await eventually_proposed(log, b"after")
        assert [data for data in machine.data if data != b"during"] == [b"before", b"after"]


async def test_etcd_goes_away_and_comes_back(cluster: Etcd, tmp_path: Path) -> None:
    async with replicas(cluster, tmp_path, count=2, patience=1) as opened:
        (log, _), _ = opened
        await log.propose(b"before", leading=True)
        await asyncio.to_thread(cluster.kill)
        with pytest.raises(
            Unavailable, match=r"no member of etcd at http://127.0.0.1:\d+.*: is it running, with a quorum"
        ):
            await log.propose(b"during")
        async with asyncio.timeout(10):
            await log.leadership(False)
        assert not log.is_leader()
        await asyncio.to_thread(cluster.start)
        load = Load(opened)
        await load.during(lambda: None)
        await load.check()
        await eventually(lambda: any(each.is_leader() for each, _ in opened))


async def test_a_lost_lease_passes_leadership_on(cluster: Etcd, tmp_path: Path) -> None:
    async with replicas(cluster, tmp_path, count=2) as ((log, _), (other, _)):
        election = log._running().election
        assert log.is_leader()
        await election._client.revoke(election._lease)
        async with asyncio.timeout(10):
            await other.leadership(True)
            await log.leadership(False)
        assert await other.propose(b"mine", leading=True) == 1
        with pytest.raises(Unavailable, match="leads no more"):
            await log.propose(b"not mine", leading=True)
        candidates = await election._client.range(election._keys.election, after(election._keys.election))
        assert len(candidates.kvs) == 2


LEADER = """
import asyncio, sys
sys.path.insert(0, "")
from common.errors import Unavailable
from tests.harness.logs import Recorder, etcd_log

async def main():
    log = etcd_log(sys.argv[2:], sys.argv[1], "paused")
    async with log.run(Recorder()):
        for n in range(1_000_000):
            try:
                await log.propose(b"paused %d" % n, leading=True)
                print("paused", n, flush=True)
            except Unavailable as error:
                print("refused", flush=True)
                await asyncio.sleep(0.01)
asyncio.run(main())
"""


async def test_a_paused_leader_cannot_write_when_it_wakes(cluster: Etcd, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEADER, str(tmp_path), *cluster.urls]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220 - it does not wait
        assert process.stdout is not None
        try:
            line = await asyncio.to_thread(process.stdout.readline)
            assert line == b"paused 0\n"
            async with replicas(cluster, tmp_path, count=1) as [(log, machine)]:
                assert not log.is_leader()
                process.send_signal(signal.SIGSTOP)
                async with asyncio.timeout(15):
                    await log.leadership(True)
                process.send_signal(signal.SIGCONT)
                told = await asyncio.to_thread(_until_refused, process)
                for n in range(50):
                    await log.propose(b"new %d" % n, leading=True)
        finally:
            process.kill()
    assert machine.data[-50:] == [b"new %d" % n for n in range(50)]
    assert set(told) <= set(machine.data)


def _until_refused(process: subprocess.Popen[bytes]) -> list[bytes]:
    """What the process told as written, until it told that it was refused."""
    assert process.stdout is not None
    lines = iter(process.stdout.readline, b"refused\n")
    return [line.strip() for line in lines if line.startswith(b"paused")]


@pytest.mark.parametrize("victim", [0, 1])
async def test_a_frozen_replica_catches_up(cluster: Etcd, tmp_path: Path, victim: int) -> None:
    """Snapshots and etcd's compaction pass it by; as leader (0) or not (1)."""
    command = [sys.executable, "-c", READER, str(tmp_path), *cluster.urls]
    async with AsyncExitStack() as stack:
        process: subprocess.Popen[str] | None = None
        if victim == 0:
            process = await asyncio.to_thread(_start, stack, command)
        [(log, machine)] = await stack.enter_async_context(replicas(cluster, tmp_path, count=1, snapshot_every=20))
        process = process or await asyncio.to_thread(_start, stack, command)
        process.send_signal(signal.SIGSTOP)
        for n in range(200):
            await log.propose(b"%d" % n)
        async with asyncio.timeout(15):
            await log.leadership(True)
        compactor = log._running().compactor
        for n in range(200, 300):
            await log.propose(b"%d" % n)
        await eventually(lambda: compactor.taken >= 2)
        await asyncio.to_thread(_compact, cluster.members)
        process.send_signal(signal.SIGCONT)
        assert process.stdin is not None
        assert process.stdout is not None
        print(file=process.stdin, flush=True)
        told = await asyncio.to_thread(next, (line for line in process.stdout if line.startswith("[(")))
        assert told == repr(machine.applied) + "\n"


READER = """
import asyncio, sys
sys.path.insert(0, "")
from tests.harness.logs import Recorder, etcd_log

async def main():
    log, machine = etcd_log(sys.argv[2:], sys.argv[1], "frozen"), Recorder()
    async with log.run(machine):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await log.barrier()
        print(machine.applied, flush=True)
asyncio.run(main())
"""


def _start(stack: AsyncExitStack, command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _compact(members: list[EtcdMember]) -> None:
    members[0].compact()
    for member in members:
        member.defragment()


async def eventually_proposed(log: EtcdLog, data: bytes) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(Unavailable):
                await log.propose(data)
                return
