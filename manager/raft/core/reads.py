"""Linearizable reads without a log entry (thesis 6.4): a quorum confirms that the leader still leads, then everything
committed at the time of asking is current. No clock is trusted.
"""

from __future__ import annotations

from manager.raft.core import election
from manager.raft.core.messages import ReadReply, ReadRequest
from manager.raft.core.state import PendingRead, ReadState, Role, State


def read(state: State, origin: str, ticket: int) -> bool:
    """Ask for the index from which reads are current; False where no leader is known to ask."""
    if state.role is Role.LEADER:
        if state.log.term(state.log.commit) == state.term:
            _start(state, origin, ticket)
        else:
            # Until its first commit a new leader does not know what is committed.
            state.early_reads.append((origin, ticket))
        return True
    if state.leader and origin == state.id:
        state.send(ReadRequest(state.id, state.leader, state.term, ticket))
        return True
    return False


def start_early(state: State) -> None:
    early, state.early_reads = state.early_reads, []
    for origin, ticket in early:
        _start(state, origin, ticket)


def _start(state: State, origin: str, ticket: int) -> None:
    state.read_number += 1
    state.pending_reads.append(PendingRead(state.read_number, state.log.commit, origin, ticket, {state.id}))
    election.heartbeat(state)
    _release(state)


def confirm(state: State, member: str, number: int) -> None:
    """`member` answered a heartbeat that asked about all reads up to `number`."""
    for pending in state.pending_reads:
        if pending.number <= number:
            pending.confirmed.add(member)
    _release(state)


def _release(state: State) -> None:
    while state.pending_reads and state.quorum_of(state.pending_reads[0].confirmed):
        done = state.pending_reads.pop(0)
        if done.origin == state.id:
            state.read_states.append(ReadState(done.ticket, done.index))
        else:
            state.send(ReadReply(state.id, done.origin, state.term, done.ticket, done.index))


def on_read_request(state: State, message: ReadRequest) -> None:
    if state.role is Role.LEADER:
        read(state, message.sender, message.ticket)


def on_read_reply(state: State, message: ReadReply) -> None:
    state.read_states.append(ReadState(message.ticket, message.index))
