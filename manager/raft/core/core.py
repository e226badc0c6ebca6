"""One member of the group: inputs are dispatched by term and kind to the rules, outputs collected into a Ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from manager.raft.core import election, reads, replication
from manager.raft.core import messages as m
from manager.raft.core.progress import Flow
from manager.raft.core.state import Ready, Role, Settings, State
from manager.raft.core.types import Config, Durable, EntryKind, HardState, Snapshot, encode_config


class Core:
    """`id` is this member's; `rng` spreads the election timeouts. Reading attributes of `state` is allowed to all."""

    def __init__(self, id: str, durable: Durable, rng: Random, settings: Settings = Settings()) -> None:  # noqa: B008 (immutable)
        self.state = State(id, durable, rng, settings)
        self._persisted = self._hard_state()

    # -- inputs

    def tick(self) -> None:
        if self.state.role is Role.LEADER:
            replication.tick(self.state)
        else:
            election.tick(self.state)

    def campaign(self) -> None:
        """Stand for election now, not only when patience is over."""
        if self.state.role is not Role.LEADER:
            election.campaign(self.state)

    def lost_sight(self, of: str) -> None:
        """The line to `of` broke, as it does when a process dies: if it led, do not wait for it as long as for a silent one."""
        election.lost_sight(self.state, of)

    def step(self, message: m.Message) -> None:
        """Take in a message, in whatever order, however often, however late."""
        if self._current(message):
            _HANDLERS[type(message)](self.state, message)

    def propose(self, data: Sequence[bytes]) -> int:
        """Append entries. Returns the index of the first where this member leads; 0 where they were passed on to the
        leader; -1 where there is none, or it hands over just now."""
        state = self.state
        if state.role is Role.LEADER and not state.transferee:
            first = state.log.last + 1
            state.extend((EntryKind.DATA, item) for item in data)
            return first
        if state.role is Role.LEADER or not state.leader:
            return -1
        state.send(m.Propose(state.id, state.leader, state.term, list(data)))
        return 0

    def read(self, ticket: int) -> bool:
        """Ask for the index from which reads are current; the answer comes in Ready.reads, or never."""
        return reads.read(self.state, self.state.id, ticket)

    def change(self, config: Config) -> bool:
        """As leader: propose a configuration one voter away from the present one. False where it may not be done now:
        another change is still on its way, or nothing of this leader's term is committed yet."""
        state = self.state
        if state.role is not Role.LEADER or state.transferee or not config.one_step_from(state.config):
            return False
        if state.log.commit < state.first_index or self._change_under_way():
            return False
        state.extend([(EntryKind.CONFIG, encode_config(config))])
        return True

    def transfer(self, to: str) -> bool:
        """As leader: hand over to `to` once it holds the whole log. Given up after an election timeout."""
        return election.transfer(self.state, to)

    def snapshot_under_way(self, to: str) -> None:
        """The snapshot for `to` is still being sent: do not take it for lost."""
        if (progress := self.state.progress.get(to)) is not None:
            progress.quiet = 0

    def snapshot_lost(self, to: str) -> None:
        """The snapshot for `to` did not arrive: find out anew what it lacks."""
        progress = self.state.progress.get(to)
        if progress is not None and progress.flow is Flow.SNAPSHOT:
            progress.probe()

    def compact(self, snapshot: Snapshot, keep: int) -> None:
        """`snapshot` (without data) is durable: forget the log up to it, but for the newest `keep` entries."""
        self.state.log.compact(snapshot, keep)

    # -- outputs

    def ready(self) -> Ready | None:
        """Everything to do since the last Ready; None where there is nothing. Each must be carried out, in order."""
        state = self.state
        if state.role is Role.LEADER:
            replication.flush(state)
        entries = state.log.slice(state.log.stable + 1, state.log.last + 1)
        cut = state.log.take_dropped()
        must_persist = bool(entries or state.incoming_snapshot or self._duty_changed() or cut >= 0)
        committed = state.log.take_committed()
        if not (state.outbox or must_persist or committed or state.read_states):
            return None
        outbox, state.outbox = state.outbox, []
        read_states, state.read_states = state.read_states, []
        ready = Ready(
            messages=[x for x in outbox if not x.after_persist],
            must_persist=must_persist,
            hard_state=self._hard_state(),
            snapshot=state.incoming_snapshot,
            entries=entries,
            replies=[x for x in outbox if x.after_persist and x.to != state.id],
            to_self=[x for x in outbox if x.to == state.id],
            committed=committed,
            reads=read_states,
            cut=cut,
        )
        state.incoming_snapshot = None
        return ready

    def persisted(self, ready: Ready) -> None:
        """What `ready` asked to write is durable."""
        if ready.must_persist:
            self._persisted = ready.hard_state
        if ready.entries:
            self.state.log.stable_to(ready.entries[-1].index, ready.entries[-1].term)
        for message in ready.to_self:
            self.step(message)
        if self.state.role is Role.LEADER:
            replication.maybe_commit(self.state)

    # -- inside

    def _hard_state(self) -> HardState:
        return HardState(self.state.term, self.state.vote, self.state.log.commit)

    def _duty_changed(self) -> bool:
        return (self.state.term, self.state.vote) != (self._persisted.term, self._persisted.vote)

    def _change_under_way(self) -> bool:
        log = self.state.log
        return any(entry.kind is EntryKind.CONFIG for entry in log.slice(log.commit + 1, log.last + 1))

    def _current(self, message: m.Message) -> bool:
        """Bring this member's term up to the message's; False where the message is out of date or not to be heeded."""
        if message.term > self.state.term:
            return self._newer(message)
        if message.term < self.state.term:
            self._older(message)
            return False
        return True

    def _newer(self, message: m.Message) -> bool:
        state = self.state
        if isinstance(message, m.PreVote | m.Vote):
            forced = isinstance(message, m.Vote) and message.forced
            if election.leased(state) and not forced:
                return False
        future = isinstance(message, m.PreVote) or (
            isinstance(message, m.VoteReply) and message.pre and message.granted
        )
        if not future:
            leads = isinstance(message, m.Append | m.Heartbeat | m.InstallSnapshot)
            state.become_follower(message.term, message.sender if leads else "")
        return True

    def _older(self, message: m.Message) -> None:
        """Tell who is behind. A leader that lost its quorum, or a member that was cut off, learns the term this way."""
        state = self.state
        if isinstance(message, m.Append | m.Heartbeat | m.InstallSnapshot):
            state.send(m.AppendReply(state.id, message.sender, state.term, 0, rejected=True))
        elif isinstance(message, m.PreVote):
            state.send(m.VoteReply(state.id, message.sender, state.term, granted=False, pre=True))


def _on_propose(state: State, message: m.Propose) -> None:
    if state.role is Role.LEADER and not state.transferee:
        state.extend((EntryKind.DATA, item) for item in message.data)


_HANDLERS: dict[type, Callable[[State, Any], None]] = {
    m.PreVote: election.on_pre_vote,
    m.Vote: election.on_vote,
    m.VoteReply: election.on_vote_reply,
    m.TimeoutNow: election.on_timeout_now,
    m.Append: replication.on_append,
    m.AppendReply: replication.on_append_reply,
    m.Heartbeat: replication.on_heartbeat,
    m.HeartbeatReply: replication.on_heartbeat_reply,
    m.InstallSnapshot: replication.on_snapshot,
    m.Propose: _on_propose,
    m.ReadRequest: reads.on_read_request,
    m.ReadReply: reads.on_read_reply,
}
