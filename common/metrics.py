"""Numbers for Prometheus: what counts as things happen, and the text that a scrape gets.

Counting is a few additions without any library; `prometheus_client` (1 MB) is imported with the first scrape. A metric belongs to one
process: the texts of several are joined line by line.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCIES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STARTED = time.time()


class Histogram:
    """How often a duration fell between `bounds` (seconds, upper ones included), and their sum."""

    def __init__(self, bounds: Sequence[float] = LATENCIES) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound → how many were no longer, as Prometheus wants it."""
        total, found = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Page:
    """One scrape's answer in the making. Names are without the prefix, labelled values are by their label's value."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._found: list[Metric] = []

    def gauge(self, name: str, help: str, value: float) -> None:
        from prometheus_client.core import GaugeMetricFamily

        self._found.append(GaugeMetricFamily(self._prefix + name, help, value=value))

    def gauges(self, name: str, help: str, label: str, values: Mapping[str, float]) -> None:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(self._prefix + name, help, labels=[label])
        for key, value in values.items():
            family.add_metric([key], value)
        self._found.append(family)

    def counters(
        self, name: str, help: str, label: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
    ) -> None:
        """The name is without `_total`."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(self._prefix + name, help, labels=label)
        for key, value in values:
            family.add_metric(key, value)
        self._found.append(family)

    def histograms(self, name: str, help: str, label: str, values: Mapping[str, Histogram]) -> None:
        """With an empty `label` there is one, under "" ."""
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(self._prefix + name, help, labels=[label] if label else [])
        for key, histogram in values.items():
            family.add_metric([key] if label else [], histogram.buckets(), histogram.sum)
        self._found.append(family)

    def process(self) -> None:
        """Memory, processor time and age of this process."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.gauge("resident_memory_bytes", "Memory of this process", pages * os.sysconf("SC_PAGE_SIZE"))
        self.counters("cpu_seconds", "Processor time of this process", (), [((), time.process_time())])
        self.gauge("start_time_seconds", "When this process began, in Unix seconds", _STARTED)

    def text(self) -> bytes:
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        """For the registry."""
        return self._found
