"""What members say to one another. `term` is the sender's, except in pre-votes, where it is the term that would come.

A message marked `after_persist` speaks of durable state: it leaves only once the Ready that it is in is on disk.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from manager.raft.core.types import Entry, Snapshot


class Base(msgspec.Struct, frozen=True, tag=True, array_like=True):
    sender: str
    to: str
    term: int

    after_persist: ClassVar[bool] = False


class PreVote(Base, frozen=True):
    """Would you vote for me? Changes nothing, so that a member cut off from the rest does not drive the terms up."""

    last_index: int
    last_term: int


class Vote(Base, frozen=True):
    """`forced`: the leader itself asked for this election, so its lease does not count."""

    last_index: int
    last_term: int
    forced: bool = False

    after_persist = True


class VoteReply(Base, frozen=True):
    granted: bool
    pre: bool = False

    after_persist = True


class Append(Base, frozen=True):
    """Entries that follow the one at `index`, which has `log_term`."""

    index: int
    log_term: int
    commit: int
    entries: list[Entry] = []


class AppendReply(Base, frozen=True):
    """Accepted: the log matches up to `index`. Rejected: the append after `index` was refused; the two logs may still
    agree at `hint`, where the sender's has `hint_term`."""

    index: int
    rejected: bool = False
    hint: int = 0
    hint_term: int = 0

    after_persist = True


class Heartbeat(Base, frozen=True):
    """`commit` is no higher than what the receiver is known to hold; `read` is the newest read that wants confirming."""

    commit: int
    read: int = 0


class HeartbeatReply(Base, frozen=True):
    read: int = 0

    after_persist = True


class InstallSnapshot(Base, frozen=True):
    snapshot: Snapshot


class TimeoutNow(Base, frozen=True):
    """The leader hands over: stand for election at once."""


class Propose(Base, frozen=True):
    """A follower passes proposals on to the leader."""

    data: list[bytes]


class ReadRequest(Base, frozen=True):
    """A follower asks for the index from which its reads are current; `ticket` is its own number for them."""

    ticket: int


class ReadReply(Base, frozen=True):
    ticket: int
    index: int


Message = (
    PreVote
    | Vote
    | VoteReply
    | Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | InstallSnapshot
    | TimeoutNow
    | Propose
    | ReadRequest
    | ReadReply
)

encode_message = msgspec.msgpack.Encoder().encode
decode_message = msgspec.msgpack.Decoder(Message).decode
