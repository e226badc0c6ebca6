"""One measured figure, and how figures are printed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`value` in `unit`, beside the same of a peer where there is one to measure."""

    name: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's; None without a peer."""
        return self.value / self.peer_value if self.peer_value else None


def line(figure: Figure) -> str:
    """One JSON object."""
    fields = msgspec.to_builtins(figure)
    if figure.ratio is not None:
        fields["ratio"] = round(figure.ratio, 3)
    return msgspec.json.encode(fields).decode()


def table(figures: Sequence[Figure]) -> str:
    rows = [("figure", "value", "unit", "peer", "peer's", "ratio")]
    for f in figures:
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}"
        peer_value = "" if f.peer_value is None else f"{f.peer_value:.1f}"
        rows.append((f.name, f"{f.value:.1f}", f.unit, f.peer, peer_value, ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def medians(count: int, *measurements: Callable[[], float]) -> list[float]:
    """The median of each measurement over `count` rounds; in each round all are taken, so that they meet the same load."""
    taken: list[list[float]] = [[] for _ in measurements]
    for _ in range(count):
        for values, measure in zip(taken, measurements, strict=True):
            values.append(measure())
    return [statistics.median(values) for values in taken]
