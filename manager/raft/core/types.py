"""The nouns of Raft: entries, configurations, snapshots, and what a member must never forget."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class EntryKind(IntEnum):
    DATA = 0  # the state machine's
    EMPTY = 1  # a new leader's first entry: it commits what earlier terms left
    CONFIG = 2  # data is an encoded Config, in force from its commit on


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    index: int
    term: int
    data: bytes = b""
    kind: EntryKind = EntryKind.DATA


class Config(msgspec.Struct, frozen=True):
    """Who takes part. Learners receive entries but neither vote nor count; `addresses` say where members listen, `births`
    which life a member lives: one whose disk was lost begins another, and what its old one promised is void."""

    voters: frozenset[str] = frozenset()
    learners: frozenset[str] = frozenset()
    addresses: dict[str, str] = {}
    births: dict[str, str] = {}

    @property
    def members(self) -> list[str]:
        """Voters and learners in a fixed order, so that equal inputs give equal traces."""
        return sorted(self.voters | self.learners)

    @property
    def quorum(self) -> int:
        return len(self.voters) // 2 + 1

    def one_step_from(self, other: Config) -> bool:
        """True where at most one voter joins or leaves: then any two majorities of the two meet."""
        return len(self.voters ^ other.voters) <= 1 and bool(self.voters) and not self.voters & self.learners


class Snapshot(msgspec.Struct, frozen=True):
    """The state after the entry at `index`. The core handles it without its data; the driver keeps and attaches that."""

    index: int = 0
    term: int = 0
    config: Config = Config()
    data: bytes = b""


class HardState(msgspec.Struct, frozen=True, array_like=True):
    """Durable before any answer: the term, whom this member voted for in it ("": nobody), and what it knows committed.

    `commit` travels with the entries it was learnt with: a restarted member must not stand for election under a
    configuration that is more than one change old.
    """

    term: int = 0
    vote: str = ""
    commit: int = 0


class Durable(msgspec.Struct):
    """What a member starts from: all that its disk holds. Entries follow the snapshot without a gap."""

    hard_state: HardState = HardState()
    snapshot: Snapshot = Snapshot()
    entries: list[Entry] = []


encode_config = msgspec.msgpack.Encoder(order="deterministic").encode
decode_config = msgspec.msgpack.Decoder(Config).decode
