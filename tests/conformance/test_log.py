"""What every Log promises (manager/store/log.py), and what those promise that keep their entries on disk."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import Conflict, NoSpace, ShoalError, Unavailable
from manager.raft import disk, wal
from manager.raft.core import Config, Entry, HardState, Ready
from manager.raft.storage import Storage
from manager.store.log import Log
from tests.harness.logs import KINDS, Recorder, opener, raft

Open = Callable[[], Log]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_log(kind: str, tmp_path: Path) -> Open:
    return opener(kind, tmp_path)


async def put(log: Log, machine: Recorder, *entries: bytes) -> None:
    async with log.run(machine):
        for entry in entries:
            await log.propose(entry)


async def test_entries_are_applied_in_order_under_the_index_that_the_proposer_gets(open_log: Open) -> None:
    log, machine = open_log(), Recorder()
    async with log.run(machine):
        indices = [await log.propose(b"%d" % n) for n in range(5)]
    assert machine.applied == [(index, b"%d" % n) for n, index in enumerate(indices)]
    assert indices == sorted(set(indices))


async def test_many_proposers_at_once(open_log: Open) -> None:
    log, machine = open_log(), Recorder()
    async with log.run(machine):
        indices = await asyncio.gather(*(log.propose(b"%d" % n) for n in range(300)))
    assert sorted(machine.applied) == sorted((index, b"%d" % n) for n, index in enumerate(indices))
    assert [index for index, _ in machine.applied] == sorted(indices)


async def test_the_proposer_of_a_refused_entry_learns_why(open_log: Open) -> None:
    log, machine = open_log(), Recorder()
    async with log.run(machine):
        with pytest.raises(Conflict, match="bad one is refused"):
            await log.propose(b"bad one")
        await log.propose(b"good one")
    assert machine.data == [b"good one"]


async def test_entries_survive_a_reopening(open_log: Open) -> None:
    await put(open_log(), Recorder(), b"a", b"b")
    await put(open_log(), Recorder(), b"c")
    machine = Recorder()
    async with open_log().run(machine):
        assert machine.data == [b"a", b"b", b"c"]


async def test_a_snapshot_stands_for_what_came_before(kind: str, tmp_path: Path) -> None:
    open_log = opener(kind, tmp_path, snapshot_every=5)
    for first in range(0, 60, 12):
        machine = Recorder()
        await put(open_log(), machine, *(b"%d" % n for n in range(first, first + 12)))
        assert machine.data == [b"%d" % n for n in range(first + 12)]
    machine = Recorder()
    async with open_log().run(machine):
        assert machine.data == [b"%d" % n for n in range(60)]
        assert machine.restored > 30


async def test_the_only_member_leads(open_log: Open) -> None:
    log = open_log()
    assert not log.is_leader()
    async with log.run(Recorder()):
        await log.leadership(True)
        assert log.is_leader()
        await log.propose(b"as leader", leading=True)
    assert not log.is_leader()


async def test_a_barrier_is_behind_what_was_committed_before(open_log: Open) -> None:
    log, machine = open_log(), Recorder()
    async with log.run(machine):
        proposal = asyncio.ensure_future(log.propose(b"x"))
        await proposal
        await asyncio.gather(*(log.barrier() for _ in range(10)))
        assert machine.data == [b"x"]


async def test_a_closed_log_refuses(open_log: Open) -> None:
    log = open_log()
    with pytest.raises(Unavailable):
        await log.propose(b"early")
    await put(log, Recorder(), b"x")
    with pytest.raises(Unavailable):
        await log.propose(b"late")
    with pytest.raises(Unavailable):
        await log.propose(b"late", leading=True)
    with pytest.raises(Unavailable):
        await log.barrier()


async def test_an_error_of_the_body_comes_out_as_itself(open_log: Open) -> None:
    with pytest.raises(Conflict, match="mine"):
        async with open_log().run(Recorder()):
            raise Conflict("mine")


# -- on disk


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "wal").glob("*.wal"))


async def test_a_torn_end_is_cut_off_and_the_log_goes_on(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    await put(raft(whole), Recorder(), b"a", b"b")
    before = segments(whole)[-1].stat().st_size
    await put(raft(whole), Recorder(), b"the last one")
    size = segments(whole)[-1].stat().st_size
    for cut in range(before, size, 7):
        torn = tmp_path / f"torn{cut}"
        shutil.copytree(whole, torn)
        os.truncate(segments(torn)[-1], cut)
        machine = Recorder()
        await put(raft(torn), machine, b"next")
        assert machine.data in ([b"a", b"b", b"next"], [b"a", b"b", b"the last one", b"next"])
        again = Recorder()
        async with raft(torn).run(again):
            assert again.applied == machine.applied


async def test_garbage_at_the_end_is_cut_off(tmp_path: Path) -> None:
    await put(raft(tmp_path), Recorder(), b"a")
    with segments(tmp_path)[-1].open("ab") as file:
        file.write(b"SHW1" + bytes(1000))
    machine = Recorder()
    await put(raft(tmp_path), machine, b"b")
    assert machine.data == [b"a", b"b"]


async def test_damage_in_the_middle_is_refused_in_a_sentence(tmp_path: Path) -> None:
    await put(raft(tmp_path), Recorder(), b"first", b"second", b"third")
    path = segments(tmp_path)[-1]
    data = bytearray(path.read_bytes())
    data[data.index(b"second")] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShoalError, match=r"is damaged at byte .* join it anew"):
        await put(raft(tmp_path), Recorder())


async def test_a_missing_segment_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.raft.wal.SEGMENT", 200)
    await put(raft(tmp_path), Recorder(), *(b"%d" % n for n in range(30)))
    assert len(segments(tmp_path)) > 3
    segments(tmp_path)[1].unlink()
    with pytest.raises(ShoalError, match="a segment is missing"):
        await put(raft(tmp_path), Recorder())


async def test_a_damaged_snapshot_is_refused_in_a_sentence(tmp_path: Path) -> None:
    await put(raft(tmp_path, snapshot_every=5), Recorder(), *(b"%d" % n for n in range(30)))
    path = sorted((tmp_path / "snapshots").glob("*.snap"))[-1]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShoalError, match=r"snapshot .* is damaged"):
        await put(raft(tmp_path), Recorder())


def test_what_is_cut_off_the_log_stays_forgotten(tmp_path: Path) -> None:
    def reopened(*readies: Ready) -> list[Entry]:
        storage = Storage(tmp_path)
        storage.open()
        entries = storage.load(Config(frozenset(["one"]))).entries
        for ready in readies:
            storage.save(ready)
        storage.close()
        return entries

    def ready(cut: int, *entries: Entry) -> Ready:
        return Ready([], True, HardState(2, "", 1), None, list(entries), [], [], [], [], cut)

    first = [Entry(index, 1, b"x") for index in range(1, 6)]
    reopened(ready(-1, *first))
    assert reopened(ready(3)) == first
    assert reopened(ready(2, Entry(3, 2, b"y"))) == first[:3]
    assert reopened(ready(0)) == [*first[:2], Entry(3, 2, b"y")]
    assert reopened() == []


async def test_a_half_written_snapshot_does_no_harm(tmp_path: Path) -> None:
    await put(raft(tmp_path), Recorder(), b"a")
    aside = tmp_path / "snapshots" / "00000000000000ff.tmp"
    aside.write_bytes(b"half")
    machine = Recorder()
    await put(raft(tmp_path), machine)
    assert machine.data == [b"a"]
    assert not aside.exists()


async def test_two_processes_cannot_use_one_folder(tmp_path: Path) -> None:
    async with raft(tmp_path).run(Recorder()):
        with pytest.raises(Conflict, match="another manager uses"):
            await put(raft(tmp_path), Recorder())


async def test_segments_and_snapshots_that_are_not_needed_go(tmp_path: Path) -> None:
    await put(raft(tmp_path, snapshot_every=5), Recorder(), *(b"%d" % n for n in range(200)))
    await put(raft(tmp_path, snapshot_every=5), Recorder(), *(b"%d" % n for n in range(20)))
    assert len(segments(tmp_path)) <= 3
    assert len(list((tmp_path / "snapshots").iterdir())) <= 2


async def test_a_full_disk_is_an_error_with_nothing_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = False
    real = disk.write_all

    def write_all(fd: int, data: bytes) -> None:
        if full:
            os.write(fd, data[:5])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, data)

    monkeypatch.setattr(wal, "write_all", write_all)
    log, machine = raft(tmp_path), Recorder()
    async with log.run(machine):
        await log.propose(b"a")
        full = True
        with pytest.raises(NoSpace, match="free some space"):
            await log.propose(b"b")
        full = False
        await log.propose(b"c")
    assert machine.data in ([b"a", b"c"], [b"a", b"b", b"c"])
    again = Recorder()
    async with raft(tmp_path).run(again):
        assert again.applied == machine.applied


async def test_a_failing_disk_brings_the_log_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(raft(tmp_path), Recorder(), b"a")
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="broken"):
        await put(raft(tmp_path), Recorder(), b"b")


def fail(fd: int) -> None:
    raise OSError(errno.EIO, "broken")


WRITER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, "")
from tests.harness.logs import Recorder, raft

async def main():
    log = raft(Path(sys.argv[1]), snapshot_every=20)
    async with log.run(Recorder()):
        async def write(worker):
            for n in range(100_000):
                await log.propose(b"%s.%d.%d" % (sys.argv[2].encode(), worker, n))
                print(sys.argv[2], worker, n, sep=".", flush=True)
        await asyncio.gather(*map(write, range(8)))
asyncio.run(main())
"""


def write_until_killed(folder: Path, round: int, count: int) -> set[bytes]:
    """Let a process write until it has told of `count` entries, kill it, and return what it had told."""
    command = [sys.executable, "-c", WRITER, str(folder), str(round)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = {process.stdout.readline().strip() for _ in range(count)}
        process.send_signal(signal.SIGKILL)
        return told | {line.strip() for line in process.stdout if line.endswith(b"\n")}


async def test_nothing_acknowledged_is_lost_by_kill_9_during_snapshots(tmp_path: Path) -> None:
    acknowledged: set[bytes] = set()
    for round in range(3):
        acknowledged |= await asyncio.to_thread(write_until_killed, tmp_path / "log", round, 300 + 111 * round)
        machine = Recorder()
        async with raft(tmp_path / "log").run(machine):
            assert acknowledged <= set(machine.data)
            assert len(set(machine.data)) == len(machine.data)
