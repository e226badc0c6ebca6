"""Schedules of faults: the same for the same seed, without overlaps, and in time of all kinds."""

from __future__ import annotations

from tests.chaos.schedule import KINDS, check, schedule

MANAGERS, WORKERS = ["manager1", "manager2", "manager3"], ["worker1", "worker2"]


def test_a_seed_means_the_same_faults() -> None:
    assert schedule(7, 60, MANAGERS, WORKERS) == schedule(7, 60, MANAGERS, WORKERS)
    assert schedule(7, 60, MANAGERS, WORKERS) != schedule(8, 60, MANAGERS, WORKERS)


def test_hosts_have_one_fault_at_a_time_and_all_end() -> None:
    for seed in range(50):
        faults = schedule(seed, 60, MANAGERS, WORKERS)
        check(faults)
        assert all(fault.at < fault.until <= 60 for fault in faults)
        assert all(fault.other != fault.host for fault in faults)


def test_all_kinds_come() -> None:
    kinds = {fault.kind for seed in range(50) for fault in schedule(seed, 60, MANAGERS, WORKERS)}
    assert kinds == set(KINDS)
