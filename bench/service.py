"""How long a service of 100 tasks takes until all of them run, on one node, beside Docker's Swarm."""

from __future__ import annotations

import time
from typing import Any

from bench.client import until
from bench.figure import Figure, medians
from bench.peers import Peer, docker, shoal

TASKS = 100
ROUNDS = 3


def main() -> list[Figure]:
    with shoal() as (ours, _), docker() as theirs:
        ours.swarm()
        if theirs is None:
            [value] = medians(ROUNDS, lambda: all_running(ours, TASKS))
            return [Figure(name=f"tasks_{TASKS}_running", value=value, unit="s")]
        theirs.swarm()
        value, peer_value = medians(ROUNDS, lambda: all_running(ours, TASKS), lambda: all_running(theirs, TASKS))
        return [
            Figure(name=f"tasks_{TASKS}_running", value=value, unit="s", peer="docker swarm", peer_value=peer_value)
        ]


def all_running(peer: Peer, count: int) -> float:
    """Seconds from the service's creation until all its tasks run; the service is gone afterwards."""
    begin = time.monotonic()
    id = peer.client.post("/services/create", service("bench", peer.image_id(), count))["ID"]
    end = until(lambda: running(peer, id) >= count)
    peer.client.delete(f"/services/{id}")
    until(lambda: not peer.client.get("/containers/json?all=1"))
    return end - begin


def service(name: str, image: str, replicas: int) -> dict[str, Any]:
    return {
        "Name": name,
        "TaskTemplate": {"ContainerSpec": {"Image": image, "Command": ["sleep", "100000"], "StopSignal": "SIGKILL"}},
        "Mode": {"Replicated": {"Replicas": replicas}},
    }


def running(peer: Peer, service_id: str) -> int:
    tasks = peer.client.get("/tasks", service=[service_id])
    return sum(task["Status"]["State"] == "running" for task in tasks)
