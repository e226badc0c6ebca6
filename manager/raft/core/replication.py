"""How entries reach the others: pipelined appends within a window, heartbeats, snapshots, commit by quorum (thesis 3.5,
7, 10.2), and how a follower takes them in.
"""

from __future__ import annotations

from manager.raft.core import election, reads
from manager.raft.core.messages import Append, AppendReply, Heartbeat, HeartbeatReply, InstallSnapshot
from manager.raft.core.progress import Flow, Progress
from manager.raft.core.state import Role, State
from manager.raft.core.types import Snapshot


def tick(state: State) -> None:
    """As leader: heartbeats, and stepping down where no quorum answered for an election timeout."""
    state.elapsed += 1
    if state.elapsed >= state.settings.election:
        state.elapsed = 0
        state.transferee = ""
        _check_quorum(state)
    state.since_heartbeat += 1
    if state.role is Role.LEADER and state.since_heartbeat >= state.settings.heartbeat:
        state.since_heartbeat = 0
        election.heartbeat(state)


def _check_quorum(state: State) -> None:
    active = [peer for peer, progress in state.progress.items() if progress.active]
    for progress in state.progress.values():
        progress.active = False
    if not state.quorum_of([state.id, *active]):
        state.become_follower(state.term, "")


# -- leader


def flush(state: State) -> None:
    """Send every follower what it lacks, as far as its window allows. A leader that was removed leaves after that."""
    for peer, progress in state.progress.items():
        while not progress.paused and _lacks(state, progress):
            _send(state, peer, progress)
    if state.id not in state.config.voters:
        # Nobody else could have committed its last entries: with them it would refuse its vote to whoever must lead now.
        state.log.drop_uncommitted()
        state.become_follower(state.term, "")


def _lacks(state: State, progress: Progress) -> bool:
    return progress.next <= state.log.last or progress.told_commit < state.log.commit


def _send(state: State, peer: str, progress: Progress) -> None:
    log, index = state.log, progress.next - 1
    if (term := log.term(index)) < 0:
        progress.send_snapshot(log.snapshot.index)
        state.send(InstallSnapshot(state.id, peer, state.term, log.snapshot))
        return
    entries = log.batch(progress.next, state.settings.batch)
    state.send(Append(state.id, peer, state.term, index, term, log.commit, entries))
    progress.told_commit = log.commit
    progress.sent(index + len(entries), len(entries))


def on_append_reply(state: State, message: AppendReply) -> None:
    progress = state.progress.get(message.sender)
    if state.role is not Role.LEADER or progress is None:
        return
    progress.active = True
    if message.rejected:
        progress.reject(message.index, state.log.agreement(message.hint, message.hint_term))
    elif progress.acknowledge(message.index):
        maybe_commit(state)
        election.finish_transfer(state, message.sender)


def on_heartbeat_reply(state: State, message: HeartbeatReply) -> None:
    progress = state.progress.get(message.sender)
    if state.role is not Role.LEADER or progress is None:
        return
    progress.heard()
    if progress.flow is Flow.SNAPSHOT:
        progress.quiet += 1
        if progress.quiet > state.settings.snapshot_patience:
            progress.probe()
    elif progress.match < state.log.last and not progress.paused:
        # Something sent before may be lost: an append at the end of what was sent makes the follower say so.
        _send(state, message.sender, progress)
    reads.confirm(state, message.sender, message.read)


def maybe_commit(state: State) -> None:
    """Commit what a quorum holds, if it is of this term (thesis 3.6.2)."""
    held = {peer: progress.match for peer, progress in state.progress.items()}
    held[state.id] = state.log.stable
    matches = sorted((held.get(voter, 0) for voter in state.config.voters), reverse=True)
    index = matches[state.config.quorum - 1]
    if state.log.term(index) == state.term and state.commit_to(index):
        reads.start_early(state)


# -- follower


def _follow(state: State, leader: str) -> None:
    if state.role is not Role.FOLLOWER:
        state.become_follower(state.term, leader)
    state.leader = leader
    state.elapsed = 0


def on_append(state: State, message: Append) -> None:
    _follow(state, message.sender)
    log = state.log
    last = message.index + len(message.entries)
    if message.index < log.commit:
        # What is committed here matches for sure; the part beyond it comes again.
        state.send(AppendReply(state.id, message.sender, state.term, log.commit))
    elif log.term(message.index) == message.log_term:
        log.merge(message.entries)
        state.commit_to(min(message.commit, last))
        state.send(AppendReply(state.id, message.sender, state.term, last))
    else:
        hint = log.agreement(message.index, message.log_term)
        state.send(AppendReply(state.id, message.sender, state.term, message.index, True, hint, log.term(hint)))


def on_heartbeat(state: State, message: Heartbeat) -> None:
    _follow(state, message.sender)
    state.commit_to(min(message.commit, state.log.last))
    state.send(HeartbeatReply(state.id, message.sender, state.term, message.read))


def on_snapshot(state: State, message: InstallSnapshot) -> None:
    _follow(state, message.sender)
    if not _restore(state, message.snapshot):
        state.send(AppendReply(state.id, message.sender, state.term, state.log.commit))
        return
    state.send(AppendReply(state.id, message.sender, state.term, message.snapshot.index))


def _restore(state: State, snapshot: Snapshot) -> bool:
    """Take the snapshot over, unless the log has all of it: then only the commit index moves."""
    if snapshot.index <= state.log.commit:
        return False
    if state.log.term(snapshot.index) == snapshot.term:
        state.commit_to(snapshot.index)
        return False
    state.log.restore(snapshot)
    state.adopt(snapshot.config)
    state.incoming_snapshot = snapshot
    return True
