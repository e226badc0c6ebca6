"""How time and memory grow with the cluster: hollow clusters of 100, 1,000 and 10,000 nodes with thirty tasks each.

Small ones are measured several times, and the medians taken: a second of another program's work would be most of theirs.
"""

from __future__ import annotations

from statistics import median

from bench.figure import Figure
from bench.hollow import Run, measure, short

SIZES = ((100, 5), (1000, 3), (10_000, 1))  # nodes, rounds
EACH = 30  # tasks for each node
UNITS = {"connect": "s", "connect_cpu": "s", "placed": "s", "work": "s", "idle_cpu": "%", "manager_mb": "MB"}


def main(nodes: int = 10_000) -> list[Figure]:
    """Up to so many `nodes`."""
    return [
        Figure(name=f"{short(size)}_{what}", value=median(getattr(run, what) for run in runs), unit=unit)
        for size, rounds in SIZES
        if size <= nodes
        for runs in [_rounds(size, rounds)]
        for what, unit in UNITS.items()
    ]


def _rounds(size: int, count: int) -> list[Run]:
    return [measure(size, size * EACH) for _ in range(count)]
