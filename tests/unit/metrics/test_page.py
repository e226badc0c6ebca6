"""Numbers as Prometheus reads them."""

from __future__ import annotations

import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families as parse

from common.metrics import Histogram, Page


def test_a_page_is_read_as_it_was_written() -> None:
    seconds = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        seconds.observe(value)
    page = Page("shoal_")
    page.gauge("term", "Term", 3)
    page.gauges("tasks", "Tasks", "state", {"running": 2, 'odd"\n': 1})
    page.counters("messages", "Messages", ("outcome",), [(("sent",), 5)])
    page.histograms("commit_seconds", "Commits", "", {"": seconds})
    page.process()
    found = {family.name: family for family in parse(page.text().decode())}
    assert found["shoal_term"].samples[0].value == 3
    assert {s.labels["state"]: s.value for s in found["shoal_tasks"].samples} == {"running": 2, 'odd"\n': 1}
    assert (found["shoal_messages"].type, found["shoal_messages"].samples[0].name) == (
        "counter",
        "shoal_messages_total",
    )
    samples = found["shoal_commit_seconds"].samples
    buckets = [(s.labels["le"], s.value) for s in samples if s.name.endswith("_bucket")]
    assert buckets == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    others = {s.name: s.value for s in samples if not s.name.endswith("_bucket")}
    assert others == {"shoal_commit_seconds_count": 4, "shoal_commit_seconds_sum": 7.65}
    assert found["shoal_resident_memory_bytes"].samples[0].value > 1 << 20


def test_counting_needs_no_library() -> None:
    code = "import manager.metrics, worker.api.metrics, sys; sys.exit('prometheus_client' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
