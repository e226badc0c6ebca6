"""Who leads: pre-votes, votes, the lease that protects a living leader, hand-over (thesis chapters 3, 4.2.3, 9.6, 3.10)."""

from __future__ import annotations

from manager.raft.core.messages import Heartbeat, PreVote, TimeoutNow, Vote, VoteReply
from manager.raft.core.state import Role, State


def tick(state: State) -> None:
    """As follower or candidate: stand for election when no leader was heard of for long enough."""
    state.elapsed += 1
    if state.elapsed >= state.patience:
        state.reset_patience()
        campaign(state)


def lost_sight(state: State, of: str) -> None:
    """Void its lease and stand soon, unless it is heard of again; one after the other, so that votes are not split."""
    if state.role is Role.FOLLOWER and state.leader == of and state.id in state.config.voters:
        rank = sorted(state.config.voters - {of}).index(state.id)
        state.elapsed = state.settings.election
        state.patience = state.settings.election + 1 + 3 * rank


def campaign(state: State) -> None:
    """Ask first whether an election could be won."""
    if state.id not in state.config.voters:
        return
    state.become_pre_candidate()
    for peer in _other_voters(state):
        state.send(PreVote(state.id, peer, state.term + 1, state.log.last, state.log.last_term))
    _count(state, state.id, granted=True)


def _stand(state: State, *, forced: bool = False) -> None:
    state.become_candidate(forced=forced)
    for peer in _other_voters(state):
        state.send(Vote(state.id, peer, state.term, state.log.last, state.log.last_term, forced))
    # Its own vote counts once it is on disk, like everybody's.
    state.send(VoteReply(state.id, state.id, state.term, granted=True))


def leased(state: State) -> bool:
    """True while a leader is known and was heard of within the shortest election timeout."""
    return bool(state.leader) and state.elapsed < state.settings.election


def on_pre_vote(state: State, message: PreVote) -> None:
    granted = message.term > state.term and state.log.up_to_date(message.last_index, message.last_term)
    # A refusal carries this member's own term, so that one who is behind learns of it.
    term = message.term if granted else state.term
    state.send(VoteReply(state.id, message.sender, term, granted, pre=True))


def on_vote(state: State, message: Vote) -> None:
    free = state.vote == message.sender or (not state.vote and not state.leader)
    granted = free and state.log.up_to_date(message.last_index, message.last_term)
    if granted:
        state.vote = message.sender
        state.reset_patience()
    state.send(VoteReply(state.id, message.sender, state.term, granted))


def on_vote_reply(state: State, message: VoteReply) -> None:
    asking = Role.PRE_CANDIDATE if message.pre else Role.CANDIDATE
    if state.role is not asking or (message.pre and message.granted and message.term != state.term + 1):
        return
    _count(state, message.sender, granted=message.granted)


def _count(state: State, voter: str, *, granted: bool) -> None:
    state.votes.setdefault(voter, granted)
    if state.quorum_of(v for v, yes in state.votes.items() if yes):
        if state.role is Role.PRE_CANDIDATE:
            _stand(state)
        else:
            state.become_leader()
    elif state.quorum_of(v for v, yes in state.votes.items() if not yes):
        state.become_follower(state.term, "")


def heartbeat(state: State) -> None:
    """As leader: say so to all, with what each may commit and the newest read that wants a quorum's word."""
    for peer, progress in state.progress.items():
        commit = min(progress.match, state.log.commit)
        state.send(Heartbeat(state.id, peer, state.term, commit, state.read_number))


def transfer(state: State, to: str) -> bool:
    """Hand leadership to a voter once it holds the whole log; proposals are refused meanwhile. False where it cannot be."""
    if state.role is not Role.LEADER or to == state.id or to not in state.config.voters:
        return False
    state.transferee = to
    state.elapsed = 0
    finish_transfer(state, to)
    return True


def finish_transfer(state: State, to: str) -> None:
    if to == state.transferee and state.progress[to].match == state.log.last:
        state.send(TimeoutNow(state.id, to, state.term))


def on_timeout_now(state: State, message: TimeoutNow) -> None:
    if state.role is Role.FOLLOWER and state.leader == message.sender and state.id in state.config.voters:
        _stand(state, forced=True)


def _other_voters(state: State) -> list[str]:
    return [peer for peer in state.peers if peer in state.config.voters]
