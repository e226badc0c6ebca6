"""A Raft log that begins with the state of another log: each manager that has that state makes its own member of the group.

They all write the same: one snapshot, and a first configuration that names them all. Births follow from the move, so each
knows the others' before it met them; a disk that is lost later gets another one, as ever.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.durable import sync_folder, write_file
from manager.raft.core import Config, HardState, Ready, Snapshot
from manager.raft.storage import Storage

TERM = 1


def seed(
    folder: Path,
    member: str,
    members: Mapping[str, str],
    token: str,
    index: int,
    state: bytes,
    keys: Sequence[bytes] = (),
) -> None:
    """Make the log of `member` in `folder`, where another one would be of a former time. `members`: the first voters and
    where they listen. Does nothing where this was done before."""
    births = {id: _birth(token, id) for id in members}
    if _born(folder) == births[member]:
        return
    fresh = folder.with_name(f"{folder.name}.{token}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write_file(fresh / "birth", births[member].encode())
    config = Config(frozenset(members), addresses=dict(members), births=births)
    _write(fresh, keys, Snapshot(index, TERM, config, state))
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    sync_folder(folder.parent)


def aside(folder: Path, key: bytes) -> Path:
    """Where a log waits that is sealed with `key`, until the member that has this key takes it on (`adopt`)."""
    return folder.with_name(f"{folder.name}.{hashlib.sha256(key).hexdigest()[:16]}")


def adopt(folder: Path, keys: Sequence[bytes]) -> None:
    """Take on the log that waits for these keys, in place of what is in `folder`; nothing where none waits."""
    waiting = aside(folder, keys[0]) if keys else None
    if waiting is not None and waiting.exists():
        shutil.rmtree(folder, ignore_errors=True)
        waiting.rename(folder)
        sync_folder(folder.parent)


def forget_waiting(folder: Path) -> None:
    """Logs that were made ready for a life that never began."""
    for path in folder.parent.glob(f"{folder.name}.*"):
        shutil.rmtree(path, ignore_errors=True)


def _write(folder: Path, keys: Sequence[bytes], snapshot: Snapshot) -> None:
    storage = Storage(folder, keys)
    try:
        storage.open()
        storage.load(Config())
        hard_state = HardState(TERM, commit=snapshot.index)
        storage.save(Ready([], True, hard_state, snapshot, [], [], [], [], []))
    finally:
        storage.close()


def _birth(token: str, member: str) -> str:
    return hashlib.sha256(f"{token} {member}".encode()).hexdigest()[:16]


def _born(folder: Path) -> str:
    path = folder / "birth"
    return path.read_text() if path.exists() else ""
