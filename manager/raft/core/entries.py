"""The log in memory: entries behind the compacted part, and how far they are stable, committed and handed out.

Indices are absolute and start at 1. Disk and network belong to others; `stable` is only what they reported.
"""

from __future__ import annotations

from collections.abc import Sequence

from manager.raft.core.types import Entry, Snapshot


class EntryLog:
    """`offset` is the index before the first entry kept; entries up to it live only in the snapshot."""

    def __init__(self, snapshot: Snapshot, entries: Sequence[Entry]) -> None:
        self.snapshot = _bare(snapshot)
        self.offset = snapshot.index
        self._offset_term = snapshot.term
        self._entries = [entry for entry in entries if entry.index > snapshot.index]
        self.stable = self.last
        self._dropped = -1
        self.commit = snapshot.index
        self.handed = snapshot.index  # committed entries up to here have left in a Ready

    @property
    def last(self) -> int:
        return self.offset + len(self._entries)

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self._offset_term

    def term(self, index: int) -> int:
        """The term of the entry at `index`, -1 where it is compacted away or not there yet."""
        if index == self.offset:
            return self._offset_term
        if self.offset < index <= self.last:
            return self._entries[index - self.offset - 1].term
        return -1

    def slice(self, start: int, end: int) -> list[Entry]:
        """Entries from `start` to before `end`; `start` must not be compacted away."""
        return self._entries[start - self.offset - 1 : end - self.offset - 1]

    def batch(self, start: int, limit: int) -> list[Entry]:
        """Entries from `start` on, at least one, as long as their data stays within `limit` bytes."""
        size, end = 0, start
        for entry in self._entries[start - self.offset - 1 :]:
            size += len(entry.data)
            if size > limit and end > start:
                break
            end += 1
        return self.slice(start, end)

    def up_to_date(self, last_index: int, last_term: int) -> bool:
        """True where a log that ends so is at least as complete as this one."""
        return (last_term, last_index) >= (self.last_term, self.last)

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries right behind the last."""
        self._entries.extend(entries)

    def merge(self, entries: Sequence[Entry]) -> None:
        """Take a leader's entries in. What matches stays; the log is cut only at the first entry that conflicts."""
        for number, entry in enumerate(entries):
            if self.term(entry.index) != entry.term and entry.index > self.offset:
                self._cut(entry.index)
                self._entries.extend(entries[number:])
                return

    def drop_uncommitted(self) -> None:
        """Forget all behind the commit index."""
        if self.last > self.commit:
            self._cut(self.commit + 1)
            self._dropped = self.commit

    def take_dropped(self) -> int:
        """The index behind which the disk has to forget what it has, too; -1 where nothing was dropped since."""
        dropped, self._dropped = self._dropped, -1
        return dropped

    def _cut(self, index: int) -> None:
        if index <= self.last:
            assert index > self.commit, f"a leader wants to replace the committed entry {index}"
            del self._entries[index - self.offset - 1 :]
            self.stable = min(self.stable, index - 1)

    def agreement(self, index: int, term: int) -> int:
        """The highest index up to `index` at which a log whose entry there has `term` may still agree with this one."""
        index = min(index, self.last)
        while index > self.offset and self.term(index) > term:
            index -= 1
        return index

    def commit_to(self, index: int) -> bool:
        """Raise the commit index; True where that moved it."""
        if index <= self.commit:
            return False
        assert index <= self.last, f"commit {index} lies behind the last entry {self.last}"
        self.commit = index
        return True

    def stable_to(self, index: int, term: int) -> None:
        """The entry at `index`, if it is still the one of `term`, and all before it are on disk."""
        if self.term(index) == term:
            self.stable = max(self.stable, index)

    def take_committed(self) -> list[Entry]:
        """Committed entries on this disk that were not handed out yet; they count as handed out now."""
        end = min(self.commit, self.stable)
        if end <= self.handed:
            return []
        found = self.slice(self.handed + 1, end + 1)
        self.handed = end
        return found

    def compact(self, snapshot: Snapshot, keep: int) -> None:
        """`snapshot` is durable: forget entries up to its index, except the newest `keep` for slow followers."""
        self.snapshot = _bare(snapshot)
        cut = min(snapshot.index - keep, self.stable)
        if cut > self.offset:
            term = self.term(cut)
            del self._entries[: cut - self.offset]
            self.offset, self._offset_term = cut, term

    def restore(self, snapshot: Snapshot) -> None:
        """Start anew behind a leader's snapshot."""
        self.snapshot = _bare(snapshot)
        self.offset, self._offset_term = snapshot.index, snapshot.term
        self._entries = []
        self.stable = self.commit = self.handed = snapshot.index


def _bare(snapshot: Snapshot) -> Snapshot:
    """Without the data, which would stay in memory for nothing."""
    return Snapshot(snapshot.index, snapshot.term, snapshot.config)
