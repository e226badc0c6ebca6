"""What must hold in a Raft group after every step (thesis, figure 3.2), and what clients may rely on."""

from __future__ import annotations

from collections.abc import Iterable

from manager.raft.core import Entry, Role
from tests.simulation.raft_member import Member


class Checks:
    def __init__(self) -> None:
        self.leaders: dict[int, str] = {}  # term → who led in it
        self.votes: dict[tuple[str, int], str] = {}
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}  # (index, term) → entry, term before it
        self.committed: dict[int, Entry] = {}
        self.committed_in: dict[int, int] = {}  # index → the term in which that was first seen
        self.applied: dict[int, Entry] = {}

    def vote(self, voter: str, term: int, candidate: str) -> None:
        """One vote per member and term, whatever it forgot."""
        assert self.votes.setdefault((voter, term), candidate) == candidate, f"{voter} votes twice in term {term}"

    def apply(self, entry: Entry, term: int) -> None:
        """State machine safety: all apply the same entry at the same index."""
        assert self.applied.setdefault(entry.index, entry) == entry, (
            f"two different entries are applied at {entry.index}"
        )
        assert self.committed.setdefault(entry.index, entry) == entry, (
            f"what is applied at {entry.index} is not committed"
        )
        self.committed_in.setdefault(entry.index, term)

    def validate(self, members: Iterable[Member]) -> None:
        for member in members:
            if member.core is not None:
                self._validate_log(member)
        for member in members:
            if member.leads:
                self._validate_leader(member)

    def _validate_log(self, member: Member) -> None:
        assert member.core is not None
        log = member.core.state.log
        assert member.applied <= log.commit <= log.last
        assert log.stable <= log.last
        before = log.term(log.offset)
        for entry in log.slice(log.offset + 1, log.last + 1):
            known = self.entries.setdefault((entry.index, entry.term), (entry, before))
            assert known == (entry, before), f"log matching: {member.id} differs at {entry.index} in term {entry.term}"
            assert entry.term >= before, "terms in a log go back"
            if entry.index <= log.commit:
                first = self.committed.setdefault(entry.index, entry)
                assert first == entry, f"{member.id} commits another entry at {entry.index}"
                self.committed_in.setdefault(entry.index, member.core.state.term)
            before = entry.term

    def _validate_leader(self, member: Member) -> None:
        assert member.core is not None
        state = member.core.state
        assert self.leaders.setdefault(state.term, member.id) == member.id, f"two leaders in term {state.term}"
        assert state.role is Role.LEADER
        for index in range(state.log.offset + 1, max(self.committed, default=0) + 1):
            entry = self.committed.get(index)
            if entry is not None and self.committed_in[index] < state.term:
                assert state.log.term(index) == entry.term, f"leader {member.id} lacks the committed entry {index}"


class History:
    """Linearizability of what clients were told. All operations have a place in the log's order (a write its index, a
    read the index it saw); an operation that begins after another ended must have its place behind it."""

    def __init__(self) -> None:
        self._floor = 0
        self.acknowledged: dict[int, int] = {}  # write → index
        self.reads = 0

    def begin(self) -> int:
        """The place that an operation beginning now must not fall behind."""
        return self._floor

    def write_ended(self, operation: int, begun: int, index: int) -> None:
        assert index > begun, f"write {operation} at {index} falls behind an operation at {begun} that ended before it"
        self.acknowledged[operation] = index
        self._floor = max(self._floor, index)

    def read_ended(self, begun: int, index: int) -> None:
        assert index >= begun, f"a read at {index} misses what was acknowledged at {begun} before it began"
        self.reads += 1
        self._floor = max(self._floor, index)
