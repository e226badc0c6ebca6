"""Figures: their ratio, their two forms of print, interleaved medians."""

from __future__ import annotations

import json

from bench.figure import Figure, line, medians, table

PLAIN = Figure(name="idle_pss_mb", value=80.0, unit="MB")
BESIDE = Figure(name="create_start_bridge", value=30.0, unit="ms", peer="docker", peer_value=120.0)


def test_the_ratio_is_ours_by_the_peers() -> None:
    assert BESIDE.ratio == 0.25
    assert PLAIN.ratio is None


def test_json_leaves_out_a_peer_that_is_not_there() -> None:
    assert json.loads(line(PLAIN)) == {"name": "idle_pss_mb", "value": 80.0, "unit": "MB"}
    assert json.loads(line(BESIDE))["ratio"] == 0.25


def test_the_table_has_a_row_per_figure() -> None:
    head, plain, beside = table([PLAIN, BESIDE]).splitlines()
    assert head.split()[:2] == ["figure", "value"]
    assert plain.split() == ["idle_pss_mb", "80.0", "MB"]
    assert beside.split() == ["create_start_bridge", "30.0", "ms", "docker", "120.0", "0.25"]


def test_medians_takes_turns() -> None:
    order: list[str] = []

    def measure(name: str, values: list[float]) -> float:
        order.append(name)
        return values.pop()

    ours, theirs = [3.0, 1.0, 2.0], [9.0, 7.0, 8.0]
    assert medians(3, lambda: measure("a", ours), lambda: measure("b", theirs)) == [2.0, 8.0]
    assert order == ["a", "b"] * 3
