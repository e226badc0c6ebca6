"""Faults that other implementations had, put into this one: the checks of the simulation must notice every one of them.

Forgotten votes and matching entries that are cut have scenarios of their own (tests/unit/raft/scenarios).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from manager.raft.core import Config, Entry, Ready
from manager.raft.core.entries import EntryLog
from tests.simulation.raft_member import Disk
from tests.simulation.raft_world import World
from tests.simulation.test_raft import history

SEEDS = 100


def writes_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    """Answers leave before the entries are on the disk: a crash loses what was acknowledged."""

    def lost(disk: Disk, ready: Ready) -> None:
        disk.hard_state = ready.hard_state
        if ready.snapshot is not None:
            disk.snapshot, disk.entries = ready.snapshot, []
        elif ready.entries and ready.entries[0].index % 7:
            write(disk, ready)

    write = Disk.write
    patch.setattr(Disk, "write", lost)


def half_is_a_quorum(patch: pytest.MonkeyPatch) -> None:
    """Two of four commit."""
    patch.setattr(Config, "quorum", property(lambda config: max(1, len(config.voters) // 2)))


def the_log_goes_before_the_snapshot_is_there(patch: pytest.MonkeyPatch) -> None:
    """A crash in between loses both."""

    def save_snapshot(disk: Disk, snapshot: object) -> None:
        disk.entries = [entry for entry in disk.entries if entry.index > snapshot.index]  # type: ignore[attr-defined]

    patch.setattr(Disk, "save_snapshot", save_snapshot)


def a_lost_disk_goes_on_under_its_old_name(patch: pytest.MonkeyPatch) -> None:
    def arrive(world: World, message: object, sender: str, meant: str) -> None:
        member = world.members.get(message.to)  # type: ignore[attr-defined]
        if member is not None and member.up:
            member.receive(message)  # type: ignore[arg-type]

    patch.setattr(World, "_arrive", arrive)


def conflicts_are_kept(patch: pytest.MonkeyPatch) -> None:
    """A follower adds what is new behind what disagrees."""

    def merge(log: EntryLog, entries: Sequence[Entry]) -> None:
        log._entries.extend(entry for entry in entries if entry.index == log.last + 1)

    patch.setattr(EntryLog, "merge", merge)


def histories() -> None:
    for seed in range(SEEDS):
        history(seed)


@pytest.mark.parametrize(
    "fault",
    [
        writes_are_not_synced,
        half_is_a_quorum,
        the_log_goes_before_the_snapshot_is_there,
        a_lost_disk_goes_on_under_its_old_name,
        conflicts_are_kept,
    ],
)
def test_is_noticed(fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError, match=r"^seed \d+"):
        histories()
