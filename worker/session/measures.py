"""What a worker's session is measured by, counted as it happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from common.metrics import LATENCIES, Histogram

SECONDS = (*LATENCIES[6:], 30.0, 60.0, 300.0)


@dataclass
class Measures:
    """`actions` by kind and outcome (done, failed), `spent` by kind; `connected` while a session lasts."""

    connected: bool = False
    sessions: int = 0
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    spent: dict[str, Histogram] = field(default_factory=dict)

    def acted(self, kind: str, outcome: str, seconds: float) -> None:
        self.actions[kind, outcome] += 1
        if kind not in self.spent:
            self.spent[kind] = Histogram(SECONDS)
        self.spent[kind].observe(seconds)
