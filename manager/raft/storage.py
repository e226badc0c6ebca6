"""All that one member keeps on disk: snapshots and the write-ahead log, and how the two fit together.

Order is everything: a snapshot is durable before the log forgets what it covers; a crash between the two leaves both,
and loading sorts it out.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.durable import sync_folder, write_file
from common.errors import Conflict, ShoalError
from manager.raft.core import Config, Durable, Entry, EntryKind, HardState, Ready, Snapshot
from manager.raft.core.types import encode_config
from manager.raft.sealing import Keyring
from manager.raft.snapshots import SnapshotFiles
from manager.raft.wal import Record, Wal


class Storage:
    """`open` comes first, then `load`. All methods block: call them off the event loop."""

    def __init__(self, folder: Path, keys: Sequence[bytes] = ()) -> None:
        """The first of `keys` seals what is written, the others open what was written before."""
        keyring = Keyring(keys)
        self._folder = folder
        self._wal = Wal(folder / "wal", keyring)
        self._snapshots = SnapshotFiles(folder / "snapshots", keyring)
        self._hard_state = HardState()
        self._lock = -1
        self.birth = ""

    def open(self) -> str:
        """Keep other processes away; the birth of what is on disk: a new one for an empty folder, "" where it is older
        than births are. Raises Conflict where another process uses the folder."""
        self._lock_folder()
        path = self._folder / "birth"
        if path.exists():
            self.birth = path.read_text()
        elif not (self._folder / "snapshots").exists():
            self._be_born()
        return self.birth

    def load(self, bootstrap: Config) -> Durable:
        """What was durable when the last process ended. A new member starts with the configuration `bootstrap` (empty
        where it waits for a leader to add it). Raises ShoalError where the files are damaged."""
        self._snapshots.tidy()
        snapshot = self._snapshots.load()
        if snapshot is None:
            snapshot = Snapshot(config=bootstrap)
            self._snapshots.save(snapshot)
        entries: list[Entry] = []
        for record in self._wal.read_all():
            self._hard_state = record.hard_state
            _replay(entries, record, self._folder)
        if _void(snapshot, entries, self._folder):
            self._wal.append(Record(self._hard_state, reset=snapshot.index))
            entries = []
        sync_folder(self._folder)
        return Durable(self._hard_state, snapshot, [entry for entry in entries if entry.index > snapshot.index])

    def stand_alone(self, durable: Durable, member: str, address: str) -> Durable:
        """Make `member` the only one, in a new life that the former others do not know, and all that is in its log
        committed: any of it may have been acknowledged."""
        self._be_born()
        last = durable.entries[-1].index if durable.entries else durable.snapshot.index
        config = Config(frozenset([member]), addresses={member: address}, births={member: self.birth})
        hard_state = HardState(durable.hard_state.term + 1, member, last + 1)
        entry = Entry(last + 1, hard_state.term, encode_config(config), EntryKind.CONFIG)
        self._wal.append(Record(hard_state, [entry]))
        self._hard_state = hard_state
        return Durable(hard_state, durable.snapshot, [*durable.entries, entry])

    def save(self, ready: Ready) -> None:
        """Make a Ready durable. Raises NoSpace with nothing of it written, except perhaps its snapshot."""
        reset = -1
        if ready.snapshot is not None:
            self._snapshots.save(ready.snapshot)
            reset = ready.snapshot.index
        if self._wal.is_full:
            self._wal.roll(self._hard_state)
        self._wal.append(Record(ready.hard_state, ready.entries, reset, ready.cut))
        self._hard_state = ready.hard_state
        if ready.snapshot is not None:
            self._release(ready.snapshot.index)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Make this member's own snapshot durable. May run beside `save`; `compact` follows."""
        self._snapshots.save(snapshot)

    def compact(self, index: int) -> None:
        """The snapshot at `index` is durable: let go of what it covers."""
        self._wal.roll(self._hard_state)
        self._release(index)

    def close(self) -> None:
        self._wal.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def open_snapshot(self) -> tuple[Snapshot, Iterator[bytes]]:
        """The newest snapshot without its data, and that in pieces, for a follower that needs it."""
        return self._snapshots.open()

    @property
    def is_outdated(self) -> bool:
        """Whether anything here is sealed with another key than the present one: a new snapshot would let it go."""
        return self._wal.is_outdated or self._snapshots.is_outdated

    @property
    def log_bytes(self) -> int:
        return self._wal.total

    @property
    def snapshot_bytes(self) -> int:
        return self._snapshots.total

    def _be_born(self) -> None:
        self.birth = secrets.token_hex(8)
        write_file(self._folder / "birth", self.birth.encode())

    def _lock_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self._folder.parent)
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another manager uses {self._folder}: stop it first, or choose another root folder"
            ) from None

    def _release(self, index: int) -> None:
        self._wal.release(index)
        self._snapshots.release(index)


def _replay(entries: list[Entry], record: Record, folder: Path) -> None:
    if record.reset >= 0:
        entries.clear()
    if record.cut >= 0 and entries:
        del entries[max(record.cut - entries[0].index + 1, 0) :]
    if not record.entries:
        return
    first = record.entries[0].index
    keep = first - entries[0].index if entries else 0
    if keep > len(entries):
        raise ShoalError(f"entries before {first} are missing in {folder}: remove this manager and join it anew")
    del entries[max(keep, 0) :]
    entries.extend(record.entries)


def _void(snapshot: Snapshot, entries: list[Entry], folder: Path) -> bool:
    """True where the log ends before `snapshot` or disagrees with it: that came from a leader just before a crash."""
    if not entries:
        return False
    before = snapshot.index - entries[0].index
    if before < -1:
        raise ShoalError(
            f"entries after {snapshot.index} are missing in {folder}: remove this manager and join it anew"
        )
    return before >= len(entries) or (before >= 0 and entries[before].term != snapshot.term)
