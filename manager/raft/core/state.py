"""What one member holds in memory, the moves between its roles, and the outbox. The rules that use it are in
election.py, replication.py, reads.py and membership.py; core.py brings them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from random import Random

import msgspec

from manager.raft.core.entries import EntryLog
from manager.raft.core.messages import Message
from manager.raft.core.progress import Progress
from manager.raft.core.types import Config, Durable, Entry, EntryKind, HardState, Snapshot, decode_config


class Role(Enum):
    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Settings(msgspec.Struct, frozen=True):
    """Times in ticks. A leader keeps at most `window` appends of about `batch` bytes unanswered per follower."""

    election: int = 10
    heartbeat: int = 1
    batch: int = 1 << 20
    window: int = 64
    snapshot_patience: int = 100  # heartbeats that a follower may answer before a snapshot sent to it counts as lost


class ReadState(msgspec.Struct, frozen=True):
    """Reads under `ticket` are current once the entry at `index` is applied."""

    ticket: int
    index: int


class Ready(msgspec.Struct, frozen=True):
    """What the driver does next, in this order: send `messages`; write `snapshot`, `hard_state` and `entries` durably, as
    one, where `must_persist`; hand the snapshot to the machine; call persisted(); send `replies`; apply `committed`.

    `entries` replace everything on disk from the first one's index on; `cut` (-1: nothing) says behind which index the disk
    forgets what it has, before that.
    """

    messages: list[Message]
    must_persist: bool
    hard_state: HardState
    snapshot: Snapshot | None
    entries: list[Entry]
    replies: list[Message]
    to_self: list[Message]
    committed: list[Entry]
    reads: list[ReadState]
    cut: int = -1


class PendingRead(msgspec.Struct):
    """A read that waits for a quorum to confirm this leader: `number` is that of the heartbeats that ask."""

    number: int
    index: int
    origin: str
    ticket: int
    confirmed: set[str]


class State:
    def __init__(self, id: str, durable: Durable, rng: Random, settings: Settings) -> None:
        self.id = id
        self.settings = settings
        self.rng = rng
        self.term = durable.hard_state.term
        self.vote = durable.hard_state.vote
        self.role = Role.FOLLOWER
        self.leader = ""
        self.log = EntryLog(durable.snapshot, durable.entries)
        self.config = durable.snapshot.config
        self.elapsed = 0  # ticks since the leader was heard of; as leader, since the quorum was last checked
        self.since_heartbeat = 0
        self.patience = 0  # ticks without a leader before an election
        self.votes: dict[str, bool] = {}
        self.progress: dict[str, Progress] = {}
        self.transferee = ""
        self.forced = False  # this candidacy was asked for by the leader
        self.first_index = 0  # of the entry that opened this member's own leadership
        self.read_number = 0
        self.early_reads: list[tuple[str, int]] = []  # (origin, ticket) before this leader's first commit
        self.pending_reads: list[PendingRead] = []
        self.read_states: list[ReadState] = []
        self.outbox: list[Message] = []
        self.incoming_snapshot: Snapshot | None = None
        self.commit_to(min(durable.hard_state.commit, self.log.last))
        self.reset_patience()

    # -- outbox

    def send(self, message: Message) -> None:
        self.outbox.append(message)

    @property
    def peers(self) -> list[str]:
        return [member for member in self.config.members if member != self.id]

    # -- counting

    def quorum_of(self, members: Iterable[str]) -> bool:
        """True where `members` hold a majority of the voters."""
        return len(self.config.voters.intersection(members)) >= self.config.quorum

    # -- roles

    def reset_patience(self) -> None:
        self.elapsed = 0
        self.patience = self.settings.election + self.rng.randrange(self.settings.election)

    def _reset(self, term: int) -> None:
        if term != self.term:
            self.term = term
            self.vote = ""
        self.leader = self.transferee = ""
        self.forced = False
        self.votes = {}
        self.progress = {}
        self.early_reads, self.pending_reads = [], []
        self.since_heartbeat = 0
        self.reset_patience()

    def become_follower(self, term: int, leader: str) -> None:
        self._reset(term)
        self.role = Role.FOLLOWER
        self.leader = leader

    def become_pre_candidate(self) -> None:
        self._reset(self.term)
        self.role = Role.PRE_CANDIDATE

    def become_candidate(self, *, forced: bool) -> None:
        self._reset(self.term + 1)
        self.role = Role.CANDIDATE
        self.vote = self.id
        self.forced = forced

    def become_leader(self) -> None:
        self._reset(self.term)
        self.role = Role.LEADER
        self.leader = self.id
        self.read_number = 0
        self.progress = {peer: self.new_progress() for peer in self.peers}
        self.first_index = self.log.last + 1
        self.extend([(EntryKind.EMPTY, b"")])

    def new_progress(self) -> Progress:
        return Progress(self.log.last + 1, self.settings.window)

    # -- log

    def extend(self, items: Iterable[tuple[EntryKind, bytes]]) -> None:
        """As leader: append entries of this term."""
        start = self.log.last + 1
        self.log.append([Entry(start + n, self.term, data, kind) for n, (kind, data) in enumerate(items)])

    def commit_to(self, index: int) -> bool:
        """Raise the commit index, and put the configurations that this commits in force; True where it moved."""
        before = self.log.commit
        if not self.log.commit_to(index):
            return False
        for entry in self.log.slice(before + 1, index + 1):
            if entry.kind is EntryKind.CONFIG:
                self.adopt(decode_config(entry.data))
        return True

    def adopt(self, config: Config) -> None:
        """Go by `config` from now on."""
        self.config = config
        if self.role is not Role.LEADER:
            return
        self.progress = {peer: self.progress.get(peer) or self.new_progress() for peer in self.peers}
        if self.transferee not in config.voters:
            self.transferee = ""
