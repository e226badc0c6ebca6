"""The log at rest with keys: nothing in the clear, all crash tests as without, and keys that change."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from common.errors import ShoalError
from manager.raft.core import Config, Snapshot
from manager.raft.log import RaftLog
from manager.raft.node import Options
from manager.raft.sealing import Keyring, key_id
from manager.raft.snapshots import SnapshotFiles
from tests.harness.logs import Recorder
from tests.harness.wait import eventually

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
SECRET = b"nobody may read this"


def log(folder: Path, *keys: bytes, every: int = 1000) -> RaftLog:
    return RaftLog(folder, "one", options=Options(tick=0.01, snapshot_every=every, keep=3), keys=keys)


async def put(log: RaftLog, *entries: bytes) -> Recorder:
    machine = Recorder()
    async with log.run(machine):
        for entry in entries:
            await log.propose(entry)
    return machine


def content(folder: Path) -> bytes:
    """All that lies in files; those that vanish meanwhile are gone anyway."""
    found = b""
    for path in sorted(folder.rglob("*.*")):
        with suppress(FileNotFoundError):
            found += path.read_bytes()
    return found


def last_segment(folder: Path) -> Path:
    return sorted((folder / "wal").glob("*.wal"))[-1]


@pytest.mark.parametrize("every", [5, 1000])
async def test_nothing_lies_there_in_the_clear(tmp_path: Path, every: int) -> None:
    await put(log(tmp_path, NEW, every=every), *[SECRET] * 12)
    assert SECRET not in content(tmp_path)
    assert (await put(log(tmp_path, NEW))).data == [SECRET] * 12


async def test_equal_entries_do_not_look_alike(tmp_path: Path) -> None:
    """Neither in one segment, nor in two that were written alike."""
    for folder in ("a", "b"):
        await put(log(tmp_path / folder, NEW), *[bytes(64)] * 3)
    for path in (last_segment(tmp_path / "a"), last_segment(tmp_path / "b")):
        blocks = [path.read_bytes()[at : at + 16] for at in range(path.stat().st_size - 16)]
        assert len(set(blocks)) == len(blocks)
    assert last_segment(tmp_path / "a").read_bytes() != last_segment(tmp_path / "b").read_bytes()


@pytest.mark.parametrize("keys", [(OTHER,), ()])
async def test_the_wrong_key_is_told_in_a_sentence(tmp_path: Path, keys: tuple[bytes, ...]) -> None:
    await put(log(tmp_path, NEW), b"a")
    with pytest.raises(ShoalError, match=r"is sealed with a key that this manager does not have: give it the key back"):
        await put(log(tmp_path, *keys))


async def test_a_torn_end_is_cut_off_wherever_it_is(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    await put(log(whole, NEW), b"a", b"b")
    before = last_segment(whole).stat().st_size
    await put(log(whole, NEW), b"the last one")
    for cut in range(before, last_segment(whole).stat().st_size, 7):
        torn = tmp_path / f"torn{cut}"
        shutil.copytree(whole, torn)
        os.truncate(last_segment(torn), cut)
        machine = await put(log(torn, NEW), b"next")
        assert machine.data in ([b"a", b"b", b"next"], [b"a", b"b", b"the last one", b"next"])
        assert (await put(log(torn, NEW))).applied == machine.applied


@pytest.mark.parametrize("size", [0, 3, 31])
async def test_a_torn_head_of_the_first_segment_does_no_harm(tmp_path: Path, size: int) -> None:
    async with log(tmp_path, NEW).run(Recorder()):
        pass
    os.truncate(last_segment(tmp_path), size)
    machine = await put(log(tmp_path, NEW), SECRET)
    assert (await put(log(tmp_path, NEW))).data == machine.data == [SECRET]
    assert SECRET not in content(tmp_path)


async def test_records_that_change_places_are_noticed(tmp_path: Path) -> None:
    await put(log(tmp_path, NEW), b"1", b"2", b"3")
    path = last_segment(tmp_path)
    records = path.read_bytes().split(b"SHW1")
    records[-1], records[-2] = records[-2], records[-1]
    path.write_bytes(b"SHW1".join(records))
    with pytest.raises(ShoalError, match=r"is damaged at byte \d+"):
        await put(log(tmp_path, NEW))


async def test_a_log_in_the_clear_is_sealed_once_there_is_a_key(tmp_path: Path) -> None:
    await put(log(tmp_path), SECRET, SECRET)
    assert SECRET in content(tmp_path)
    async with log(tmp_path, NEW).run(Recorder()):
        await eventually(lambda: SECRET not in content(tmp_path))
    assert (await put(log(tmp_path, NEW))).data == [SECRET, SECRET]


async def test_a_new_key_seals_all_and_then_the_old_one_may_be_forgotten(tmp_path: Path) -> None:
    await put(log(tmp_path, OLD, every=5), *[b"old"] * 12)
    with pytest.raises(ShoalError, match="sealed with a key"):
        await put(log(tmp_path, NEW))
    async with log(tmp_path, NEW, OLD).run(Recorder()):
        await eventually(lambda: key_id(OLD) not in content(tmp_path))
    assert (await put(log(tmp_path, NEW), b"newer")).data == [b"old"] * 12 + [b"newer"]


# -- snapshot files


def test_a_snapshot_is_cut_into_pieces_and_put_together(tmp_path: Path) -> None:
    for keys in ([], [NEW]):
        for size in (0, 1, 1 << 20, (5 << 20) + 17):
            files = SnapshotFiles(tmp_path / f"{len(keys)}.{size}", Keyring(keys))
            files.tidy()
            snapshot = Snapshot(7, 3, data=os.urandom(size))
            files.save(snapshot)
            assert files.load() == snapshot
            assert len(list(files.open()[1])) == -(-size // (1 << 20))


def test_every_damage_of_a_snapshot_is_noticed(tmp_path: Path) -> None:
    for keys in ([], [NEW]):
        files = SnapshotFiles(tmp_path, Keyring(keys))
        files.save(Snapshot(7, 3, data=b"some data"))
        path = tmp_path / f"{7:016x}.snap"
        whole = path.read_bytes()
        damaged = [whole[:end] for end in range(len(whole))]
        damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
        for data in damaged:
            path.write_bytes(data)
            with pytest.raises(ShoalError, match=r"damaged|sealed with a key"):
                files.load()


def test_snapshots_of_the_former_format_are_read(tmp_path: Path) -> None:
    former = (
        "53485331d10f662484a6636f6e66696783a961646472657373657380a86c6561726e65727390a6766f7465727391a36f6e65"
        "a464617461c4057374617465a5696e64657805a47465726d02"
    )
    (tmp_path / f"{5:016x}.snap").write_bytes(bytes.fromhex(former))
    files = SnapshotFiles(tmp_path, Keyring([NEW]))
    assert files.load() == Snapshot(5, 2, Config(frozenset(["one"])), b"state")
    assert files.is_outdated
