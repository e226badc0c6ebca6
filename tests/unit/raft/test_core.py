"""Single steps of the core that scripts do not show well."""

from __future__ import annotations

from random import Random

from manager.raft.core import Config, Core, Durable, Entry, EntryKind, HardState, Role, Snapshot
from manager.raft.core.entries import EntryLog
from manager.raft.core.messages import Append, Heartbeat, InstallSnapshot, Vote, VoteReply
from manager.raft.core.types import encode_config

THREE = Config(voters=frozenset("abc"))


def core(id: str = "a", config: Config = THREE, **durable: object) -> Core:
    return Core(id, Durable(snapshot=Snapshot(config=config), **durable), Random(1))  # type: ignore[arg-type]


def settle(member: Core) -> None:
    while (ready := member.ready()) is not None:
        member.persisted(ready)


def test_a_vote_is_written_even_where_the_term_was_known_before() -> None:
    member = core()
    member.step(VoteReply("b", "a", 5, False, True))
    settle(member)
    assert member.state.term == 5
    member.step(Vote("b", "a", 5, 0, 0))
    ready = member.ready()
    assert ready is not None
    assert ready.must_persist
    assert ready.hard_state == HardState(5, "b", 0)
    assert [reply.granted for reply in ready.replies if isinstance(reply, VoteReply)] == [True]


def test_a_restarted_member_keeps_its_vote() -> None:
    member = core(hard_state=HardState(5, "b", 0))
    member.step(Vote("c", "a", 5, 9, 4))
    ready = member.ready()
    assert ready is not None
    assert [reply.granted for reply in ready.replies if isinstance(reply, VoteReply)] == [False]


def test_a_configuration_that_was_known_committed_is_in_force_after_a_restart() -> None:
    two = Config(voters=frozenset("ab"))
    entries = [Entry(1, 1, encode_config(two), EntryKind.CONFIG), Entry(2, 1, encode_config(THREE), EntryKind.CONFIG)]
    assert core(hard_state=HardState(1, "", 1), entries=entries).state.config == two


def test_the_commit_index_travels_with_the_entries() -> None:
    member = core()
    member.step(Append("b", "a", 1, 0, 0, 1, [Entry(1, 1, b"x"), Entry(2, 1, b"y")]))
    ready = member.ready()
    assert ready is not None
    assert ready.hard_state == HardState(1, "", 1)
    assert [entry.index for entry in ready.entries] == [1, 2]


def test_nothing_is_handed_out_before_it_is_on_this_disk() -> None:
    member = core()
    member.step(Append("b", "a", 1, 0, 0, 1, [Entry(1, 1, b"x")]))
    ready = member.ready()
    assert ready is not None
    assert ready.committed == []
    member.persisted(ready)
    ready = member.ready()
    assert ready is not None
    assert [entry.data for entry in ready.committed] == [b"x"]


def test_a_snapshot_replaces_a_log_that_differs_and_brings_its_configuration() -> None:
    four = Config(voters=frozenset("abcd"))
    member = core(entries=[Entry(1, 1, b"old"), Entry(2, 1, b"old")], hard_state=HardState(1))
    member.step(InstallSnapshot("b", "a", 3, Snapshot(2, 2, four, b"state")))
    ready = member.ready()
    assert ready is not None
    assert ready.snapshot is not None
    assert ready.snapshot.data == b"state"
    assert (member.state.log.offset, member.state.log.last, member.state.config) == (2, 2, four)


def test_a_snapshot_of_what_the_log_holds_only_commits() -> None:
    member = core(entries=[Entry(1, 1, b"x"), Entry(2, 1, b"y")], hard_state=HardState(1))
    member.step(InstallSnapshot("b", "a", 1, Snapshot(1, 1, THREE, b"state")))
    assert (member.state.log.commit, member.state.log.last) == (1, 2)
    assert member.state.incoming_snapshot is None


def test_a_heartbeat_commits_no_more_than_there_is() -> None:
    member = core(entries=[Entry(1, 1, b"x")], hard_state=HardState(1))
    member.step(Heartbeat("b", "a", 1, 7))
    assert member.state.log.commit == 1


def test_a_member_outside_the_voters_does_not_stand() -> None:
    member = core("x")
    for _ in range(100):
        member.tick()
    assert member.state.role is Role.FOLLOWER
    assert member.ready() is None


def test_a_write_in_flight_does_not_make_what_replaced_it_stable() -> None:
    member = core()
    member.step(Append("b", "a", 1, 0, 0, 0, [Entry(1, 1, b"x"), Entry(2, 1, b"y")]))
    ready = member.ready()
    assert ready is not None
    member.step(Append("c", "a", 2, 1, 1, 0, [Entry(2, 2, b"z")]))
    member.persisted(ready)
    again = member.ready()
    assert again is not None
    assert [(entry.index, entry.term) for entry in again.entries][-1] == (2, 2)


def test_batches_hold_at_least_one_entry_and_stay_within_the_limit() -> None:
    log = EntryLog(Snapshot(), [Entry(n, 1, b"x" * 40) for n in range(1, 6)])
    assert [entry.index for entry in log.batch(1, 100)] == [1, 2]
    assert [entry.index for entry in log.batch(2, 10)] == [2]


def test_compaction_keeps_entries_for_slow_followers() -> None:
    log = EntryLog(Snapshot(), [Entry(n, 1) for n in range(1, 11)])
    log.compact(Snapshot(8, 1, THREE, b"data"), keep=3)
    assert (log.offset, log.last, log.term(4), log.term(5)) == (5, 10, -1, 1)
    assert log.snapshot == Snapshot(8, 1, THREE)
