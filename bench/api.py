"""Requests per second of GET /containers/json with 100 running containers, over one kept-alive connection."""

from __future__ import annotations

import time

from bench.figure import Figure, medians
from bench.memory import start
from bench.peers import Peer, docker, shoal

CONTAINERS = 100
SECONDS = 2.0
ROUNDS = 5


def main() -> list[Figure]:
    with shoal() as (ours, _), docker() as theirs:
        peers = [ours] if theirs is None else [ours, theirs]
        for peer in peers:
            for _ in range(CONTAINERS):
                start(peer)
        rates = medians(ROUNDS, *(lambda peer=peer: rate(peer) for peer in peers))
        peer_value = rates[1] if theirs is not None else None
        name = "docker" if theirs is not None else ""
        return [Figure(name="containers_json", value=rates[0], unit="1/s", peer=name, peer_value=peer_value)]


def rate(peer: Peer) -> float:
    begin = time.perf_counter()
    count = 0
    while (taken := time.perf_counter() - begin) < SECONDS:
        assert len(peer.client.get("/containers/json")) == CONTAINERS
        count += 1
    return count / taken
