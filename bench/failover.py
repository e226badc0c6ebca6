"""How long a cluster of three managers and two workers takes to get over a loss, in the lab, with default settings.

A leader is lost by a power cut (silently: its wire is pulled first) and by SIGKILL of its manager process; the clock runs from there to the
next service create that another manager acknowledges. A worker is lost by a power cut, until its tasks run elsewhere.
"""

from __future__ import annotations

import http.client
import statistics
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

from bench.client import Client
from bench.figure import Figure
from examples.lab.host import Host
from tests.harness.lab import Formed, lab

ROUNDS = 9
WORKER_ROUNDS = 3
REPLICAS = 6
SLEEP = ["sleep", "100000"]
_ANSWER = 10.0  # seconds that a request may take
_numbers = count(1)


def main() -> list[Figure]:
    with lab(managers=3, workers=2) as made:
        cuts = [leader_lost(made, Host.kill) for _ in range(ROUNDS)]
        kills = [leader_lost(made, lambda leader: leader.kill_daemon("manager")) for _ in range(ROUNDS)]
        workers = [worker_lost(made) for _ in range(WORKER_ROUNDS)]
    figures = (
        ("leader_power_cut", statistics.median(cuts)),
        ("leader_power_cut_worst", max(cuts)),
        ("leader_killed", statistics.median(kills)),
        ("leader_killed_worst", max(kills)),
        ("worker_power_cut", statistics.median(workers)),
    )
    return [Figure(name=name, value=value, unit="s") for name, value in figures]


def leader_lost(made: Formed, lose: Callable[[Host], None]) -> float:
    """Seconds to the next service create; the cluster is whole again when this returns."""
    leader = made.cluster.leader()
    other = next(manager for manager in made.managers if manager.name != leader.name)
    created = f"next{next(_numbers)}"
    started = time.monotonic()
    lose(leader)
    while not _created(other, created):
        time.sleep(0.01)
    taken = time.monotonic() - started
    leader.start()
    made.cluster.until_ready()
    made.cluster.ask("service", "rm", created)
    return taken


def _created(manager: Host, name: str) -> bool:
    """Whether this manager acknowledges a new service of no replicas."""
    client = Client(Path(manager.url.removeprefix("unix://")), timeout=_ANSWER)
    task = {"ContainerSpec": {"Image": "busybox:latest", "Command": SLEEP}}
    try:
        client.post("/services/create", {"Name": name, "TaskTemplate": task, "Mode": {"Replicated": {"Replicas": 0}}})
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        return "already" in str(error)  # acknowledged too late for an earlier try, but there
    finally:
        client.close()
    return True


def worker_lost(made: Formed) -> float:
    """Seconds until all tasks of a lost worker run elsewhere."""
    replicas = ("--replicas", str(REPLICAS), "--stop-signal", "KILL")
    made.cluster.ask(
        "service", "create", "--detach", "--no-resolve-image", "--name", "web", *replicas, "busybox", *SLEEP
    )
    made.cluster.until_running("web", REPLICAS)
    busy = Counter(task.host for task in made.cluster.running("web"))
    victim = max(made.workers, key=lambda worker: busy[worker.name])
    assert busy[victim.name], "no worker runs any of the tasks"
    started = time.monotonic()
    victim.kill()
    made.cluster.until_running("web", REPLICAS, without=[victim])
    taken = time.monotonic() - started
    victim.start()
    made.cluster.until_ready()
    made.cluster.ask("service", "rm", "web")
    return taken
