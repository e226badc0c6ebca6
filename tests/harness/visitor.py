"""A visitor from outside: one request after the other, each on a connection of its own, none tried again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.harness.daemon import Daemon

_LOOP = """
import collections, json, sys, threading, urllib.request
ended, answers = threading.Event(), collections.Counter()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
fetch = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
while not ended.is_set():
    try:
        answers[fetch(sys.argv[1], timeout=5).read().decode().strip()] += 1
    except OSError as error:
        answers[f"failed: {error!r}"] += 1
print(json.dumps(answers))
"""


class Visit:
    """`answers`, once the visit is over: how often each body came. Failures count as "failed: …"."""

    answers: dict[str, int]

    @property
    def failures(self) -> dict[str, int]:
        return {text: count for text, count in self.answers.items() if text.startswith("failed")}


@contextmanager
def visitor(daemon: Daemon, port: int) -> Iterator[Visit]:
    """Fetch / from outside of the daemon's host for the length of the block."""
    url = f"http://{daemon.address}:{port}/"
    command = ["nsenter", f"--net=/run/netns/{daemon.outside}", "--", sys.executable, "-c", _LOOP, url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    visit = Visit()
    try:
        yield visit
        output, _ = process.communicate(timeout=30)
        found: Any = json.loads(output)
        visit.answers = found
    finally:
        process.kill()
        process.wait()
