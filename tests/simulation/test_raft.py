"""Raft under everything that can go wrong at once: invariants after each step, nothing acknowledged is lost, and the group
recovers. SHOAL_RAFT_SEEDS says how many histories are tried, SHOAL_RAFT_SEED runs one of them.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.raft_world import World

SEEDS = int(os.environ.get("SHOAL_RAFT_SEEDS", "400"))
STEPS = 150
CHUNK = 20


def history(seed: int) -> World:
    world = World(seed)
    try:
        world.run(500)
        world.ordeal(STEPS)
        world.recover()
        assert not world.lost(), "acknowledged writes are lost"
    except AssertionError as failure:
        raise AssertionError(f"seed {seed}, time {world.now}: {failure}") from failure
    return world


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_histories(first: int) -> None:
    if "SHOAL_RAFT_SEED" in os.environ:
        history(int(os.environ["SHOAL_RAFT_SEED"]))
        return
    worlds = [history(seed) for seed in range(first, min(first + CHUNK, SEEDS))]
    assert sum(len(world.history.acknowledged) for world in worlds) > 10 * len(worlds), "hardly anything was committed"
    assert sum(world.history.reads for world in worlds) > len(worlds), "hardly anything was read"


def test_a_history_depends_on_its_seed_only() -> None:
    one, two = history(7), history(7)
    assert one.now == two.now
    assert one.checks.applied == two.checks.applied
