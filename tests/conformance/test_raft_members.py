"""Managers that come and go while the group works: real time and disks, over function calls and over mutual TLS."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.errors import Conflict, Unavailable
from tests.harness.raft_group import CallNetwork, Group, Network, TlsNetwork
from tests.harness.wait import eventually


@pytest.fixture(params=["calls", "tls"])
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    if request.param == "calls":
        yield CallNetwork()
        return
    network = TlsNetwork("a", "b", "c", "d")
    async with network.run():
        yield network


@pytest.fixture
async def group(tmp_path: Path, network: Network) -> AsyncIterator[Group]:
    made = Group(tmp_path, network)
    yield made
    network.cut = set()
    await made.close()


def numbered(name: str, count: int) -> list[bytes]:
    return [f"{name} {n}".encode() for n in range(count)]


async def test_a_group_of_one_grows_to_three_and_all_have_everything(group: Group) -> None:
    await group.start("a")
    await group.write("a", *numbered("early", 50))  # by now the log was cut: the others need a snapshot
    await group.join("b")
    await group.join("c")
    await group.write("c", *numbered("late", 10))
    await group.equal()
    assert sorted(group.machines["c"].data) == sorted(numbered("early", 50) + numbered("late", 10))
    members = group.logs["a"].members()
    assert [(m.id, m.address, m.voter, m.leader, m.reachable) for m in members] == [
        ("a", group.address("a"), True, True, True),
        ("b", group.address("b"), True, False, True),
        ("c", group.address("c"), True, False, True),
    ]
    await eventually(lambda: group.logs["b"].members()[2].voter)
    assert group.logs["b"].leader == "a"


async def test_who_waits_to_be_added_has_nothing_and_leads_nothing(group: Group) -> None:
    log = await group.start("b", joins=True)
    assert not log.is_leader()
    assert log.members() == []
    joined = asyncio.ensure_future(log.joined())
    await group.start("a")
    await group.logs["a"].add("b", group.address("b"), log.birth)
    await joined
    await log.barrier()


async def test_adding_again_changes_nothing_but_the_address(group: Group) -> None:
    await group.begin("a", "b")
    before = group.logs["a"].numbers().last
    await group.logs["a"].add("b", group.address("b"), group.logs["b"].birth)
    assert group.logs["a"].numbers().last == before
    await group.logs["a"].add("b", "elsewhere.example:2377", group.logs["b"].birth)
    assert group.logs["a"].members()[1].address == "elsewhere.example:2377"


async def test_only_the_leader_changes_members(group: Group) -> None:
    await group.begin("a", "b", "c")
    for wish in (group.logs["b"].add("d", "d.example:2377", "x"), group.logs["b"].remove("c")):
        with pytest.raises(Unavailable, match="does not lead"):
            await wish


async def test_proposals_go_on_while_a_member_does_not_catch_up(group: Group) -> None:
    await group.begin("a", "b")
    adding = asyncio.ensure_future(group.logs["a"].add("c", "127.0.0.1:9", "not there"))
    await eventually(lambda: len(group.logs["a"].members()) == 3)
    await group.write("b", *numbered("meanwhile", 20))
    assert not adding.done()
    assert not group.logs["a"].members()[2].voter
    adding.cancel()
    await group.logs["a"].remove("c")
    assert [m.id for m in group.logs["a"].members()] == ["a", "b"]


async def test_who_cannot_be_reached_is_told_of_in_a_sentence(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    await group.start("a")
    monkeypatch.setattr(group.logs["a"]._running().membership, "_patience", 20)
    with pytest.raises(Unavailable, match=r"manager c at 127.0.0.1:9 does not take the log"):
        await group.logs["a"].add("c", "127.0.0.1:9", "not there")
    assert not group.logs["a"].members()[1].voter


async def test_a_follower_leaves(group: Group) -> None:
    await group.begin("a", "b", "c")
    await group.logs["a"].remove("c")
    await group.logs["a"].remove("c")
    await group.stop("c")
    await group.write("b", b"x")
    assert [m.id for m in group.logs["a"].members()] == ["a", "b"]


async def test_the_leader_leaves_after_it_handed_over(group: Group) -> None:
    await group.begin("a", "b", "c")
    with pytest.raises(Unavailable, match="the new leader can remove it"):
        await group.logs["a"].remove("a")
    new = await group.leader()
    assert new != "a"
    await group.logs[new].remove("a")
    await group.stop("a")
    await group.write(new, b"x")
    assert [m.id for m in group.logs[new].members()] == ["b", "c"]


async def test_two_become_one_whoever_leaves(group: Group) -> None:
    await group.begin("a", "b")
    with pytest.raises(Unavailable):
        await group.logs["a"].remove("a")
    await group.leader("b")
    await group.logs["b"].remove("a")
    await group.stop("a")
    await group.write("b", b"alone")


async def test_the_last_manager_stays(group: Group) -> None:
    await group.start("a")
    with pytest.raises(Conflict, match="a is the last manager"):
        await group.logs["a"].remove("a")


async def test_a_removal_that_would_lose_the_quorum_is_refused(group: Group, network: Network) -> None:
    await group.begin("a", "b", "c")
    network.cut = {"c"}
    await eventually(lambda: not group.logs["a"].members()[2].reachable)
    with pytest.raises(Conflict, match=r"removing the manager b would lose the quorum: of the 2 managers left only 1"):
        await group.logs["a"].remove("b")
    await group.logs["a"].remove("c")
    await group.write("a", b"two are left")


async def test_a_clean_stop_hands_over_at_once(group: Group) -> None:
    await group.begin("a", "b", "c")
    term = group.logs["a"].numbers().term
    await group.stop("a")
    assert any(log.numbers().term == term + 1 for log in group.logs.values()), "nobody stood before the old one ended"
    await group.write(await group.leader(), b"x")


async def test_a_member_whose_disk_was_lost_is_added_anew(group: Group) -> None:
    await group.begin("a", "b", "c")
    await group.write("a", *numbered("kept", 30))
    await group.stop("c")
    shutil.rmtree(group.folder("c"))
    log = await group.start("c", joins=True)
    await group.write("a", b"while c knows nothing")
    assert group.machines["c"].data == [], "an empty disk must not take part under its old name"
    await group.logs["a"].add("c", group.address("c"), log.birth)
    await group.equal()
    assert len(group.machines["c"].data) == 31


async def test_a_member_catches_up_while_the_log_is_cut_again_and_again(group: Group) -> None:
    await group.start("a")
    await group.write("a", *numbered("early", 200))

    async def write() -> None:
        for number in range(100_000):
            await group.logs["a"].propose(b"busy %d" % number)

    writing = asyncio.ensure_future(write())
    before = group.logs["a"].numbers().snapshot
    for id in ("b", "c"):
        await asyncio.wait_for(group.join(id), 10)
    await eventually(lambda: group.logs["a"].numbers().snapshot > before)
    writing.cancel()
    await group.logs["a"].barrier()
    await group.equal()


async def test_a_lost_disk_cannot_be_replaced_without_a_quorum(group: Group) -> None:
    await group.begin("a", "b")
    await group.stop("b")
    shutil.rmtree(group.folder("b"))
    log = await group.start("b", joins=True)
    with pytest.raises((Conflict, Unavailable)):
        await group.logs["a"].add("b", group.address("b"), log.birth)


async def test_one_that_is_left_goes_on_alone_and_nothing_is_lost(group: Group, network: Network) -> None:
    await group.begin("a", "b", "c")
    await group.write("b", *numbered("acknowledged", 30))
    await group.equal()
    network.cut = {"a", "b"}
    await group.stop("c")
    log = await group.start("c", force_new=True)
    assert log.is_leader()
    assert sorted(group.machines["c"].data) == sorted(numbered("acknowledged", 30))
    assert [(m.id, m.voter) for m in log.members()] == [("c", True)]
    # The former others come back, and must not lead it astray.
    network.cut = set()
    await group.leader("a", "b")
    await group.write("c", *numbered("alone", 30))
    assert log.is_leader()
    await group.stop("c")
    again = await group.start("c")
    assert again.is_leader()
    assert len(group.machines["c"].data) == 60


async def test_one_that_stands_alone_grows_again(group: Group) -> None:
    await group.begin("a", "b", "c")
    await group.write("a", b"x")
    for id in ("a", "b", "c"):
        await group.stop(id)
    await group.start("b", force_new=True)
    for id in ("a", "c"):
        shutil.rmtree(group.folder(id))
        await group.join(id)
    await group.write("c", b"y")
    await group.equal()
    assert group.machines["a"].data == [b"x", b"y"]


async def test_numbers_of_a_member(group: Group) -> None:
    await group.begin("a", "b")
    await group.write("b", *numbered("x", 60))
    numbers = group.logs["a"].numbers()
    assert (numbers.leader, numbers.waiting) == ("a", 0)
    assert numbers.applied == numbers.commit == numbers.last > 60
    assert numbers.log_bytes > 0
    await eventually(lambda: group.logs["a"].numbers().snapshot > 0 and group.logs["a"].numbers().snapshot_bytes > 0)


# -- what other implementations got wrong


async def test_each_may_be_killed_and_come_back_while_the_others_go_on(group: Group) -> None:
    await group.begin("a", "b", "c")
    acknowledged = []
    for id in ("a", "b", "c"):
        await group.kill(id)
        rest = [other for other in ("a", "b", "c") if other != id]
        leader = await group.leader(*rest)
        entries = numbered(f"without {id}", 30)  # enough for a snapshot: whoever comes back needs it
        await group.write(next(other for other in rest if other != leader), *entries)
        acknowledged += entries
        await group.start(id)
        await group.equal()
    assert sorted(group.machines["a"].data) == sorted(acknowledged)


async def test_a_dead_leader_is_followed_by_another_that_commits(group: Group) -> None:
    """Again and again, until no quorum is left (raftos never committed again)."""
    await group.begin("a", "b", "c", "d")
    for _ in range(2):
        old = await group.leader()
        await group.write(old, f"led by {old}".encode())
        await group.kill(old)
        if len(group.logs) == 3:
            await group.write(await group.leader(), b"one is dead")
    assert len(group.logs) == 2


async def test_two_of_four_commit_nothing(group: Group, network: Network) -> None:
    await group.begin("a", "b", "c", "d")
    await group.write("a", b"all are there")
    await group.equal()
    await group.kill("c")
    await group.kill("d")
    waiting = [asyncio.ensure_future(group.logs[id].propose(b"half")) for id in ("a", "b")]
    done, _ = await asyncio.wait(waiting, timeout=1.0)  # five election timeouts
    assert all(isinstance(proposal.exception(), Unavailable) for proposal in done)
    assert group.machines["a"].data == group.machines["b"].data == [b"all are there"]
    assert not any(log.is_leader() for log in group.logs.values())
    await group.start("c")
    await group.write(await group.leader(), b"three of four")
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_minority_that_is_cut_off_neither_commits_nor_reads(group: Group, network: Network) -> None:
    await group.begin("a", "b", "c")
    old = await group.leader()
    network.cut = {old}
    lost = asyncio.ensure_future(group.logs[old].propose(b"lost"))
    reading = asyncio.ensure_future(group.logs[old].barrier())
    new = await group.leader(*(id for id in group.logs if id != old))
    await group.write(new, b"kept")
    with pytest.raises(Unavailable):
        await lost
    assert not reading.done()
    network.cut = set()
    await reading
    assert group.machines[old].data == [b"kept"]
    await group.equal()


async def test_a_barrier_on_any_member_is_behind_what_was_acknowledged_on_any_other(group: Group) -> None:
    await group.begin("a", "b", "c")
    for number in range(12):
        writer, reader = "abc"[number % 3], "abc"[(number + 1) % 3]
        await group.logs[writer].propose(b"%d" % number)
        await group.logs[reader].barrier()
        assert group.machines[reader].data[-1] == b"%d" % number
