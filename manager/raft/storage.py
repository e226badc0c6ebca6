"""All that one member keeps on disk: snapshots and the write-ahead log, and how the two fit together.

Order is everything: a snapshot is durable before the log forgets what it covers; a crash between the two leaves both,
and loading sorts it out.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from common.durable import sync_folder
from common.errors import Conflict, ShoalError
from manager.raft.core import Config, Durable, Entry, HardState, Ready, Snapshot
from manager.raft.snapshots import SnapshotFiles
from manager.raft.wal import SEGMENT, Record, Wal


class Storage:
    """`load` comes first. All methods block: call them off the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wal = Wal(folder / "wal")
        self._snapshots = SnapshotFiles(folder / "snapshots")
        self._hard_state = HardState()
        self._lock = -1

    def load(self, bootstrap: Config) -> Durable:
        """What was durable when the last process ended. A new member starts with the configuration `bootstrap` (empty
        where it waits for a leader to add it). Raises ShoalError where the files are damaged, Conflict where another
        process uses them."""
        self._lock_folder()
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

    def save(self, ready: Ready) -> None:
        """Make a Ready durable. Raises NoSpace with nothing of it written, except perhaps its snapshot."""
        reset = -1
        if ready.snapshot is not None:
            self._snapshots.save(ready.snapshot)
            reset = ready.snapshot.index
        if self._wal.size > SEGMENT:
            self._wal.roll(self._hard_state)
        self._wal.append(Record(ready.hard_state, ready.entries, reset))
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

    def load_snapshot(self) -> Snapshot:
        """The newest snapshot with its data, for a follower that needs it."""
        snapshot = self._snapshots.load()
        assert snapshot is not None, "load() has put the first one there"
        return snapshot

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
