"""How long a container takes to start: through the API beside conmon + crun alone, and `run --rm` beside Docker's."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench import bare
from bench.figure import Figure, medians
from bench.peers import IMAGE, PLAIN, Peer, docker, shoal

ROUNDS = 20
REPO = Path(__file__).resolve().parents[1]


def main() -> list[Figure]:
    with shoal() as (ours, daemon), docker() as theirs:
        figures = [_against_bare(ours, bare.Bundle(ours, daemon.state))]
        if theirs is not None:
            figures += _against_docker(ours, theirs)
        return figures


def _against_bare(ours: Peer, bundle: bare.Bundle) -> Figure:
    with bundle:
        ours_ms, bare_ms = medians(ROUNDS, lambda: create_start(ours), bundle.create_start)
    return Figure(name="create_start_bridge", value=ours_ms, unit="ms", peer="conmon+crun", peer_value=bare_ms)


def _against_docker(ours: Peer, theirs: Peer) -> list[Figure]:
    ours_ms, theirs_ms = medians(ROUNDS, lambda: create_start(ours), lambda: create_start(theirs))
    shoal_cli = [str(Path(sys.executable).with_name("shoal")), "-H", ours.url]
    ours_run, same_client, theirs_run = medians(
        ROUNDS,
        lambda: run_rm(shoal_cli),
        lambda: run_rm(["docker", "-H", ours.url]),
        lambda: run_rm(["docker", "-H", theirs.url]),
    )
    return [
        Figure(name="create_start_bridge", value=ours_ms, unit="ms", peer="docker", peer_value=theirs_ms),
        Figure(name="run_rm", value=ours_run, unit="ms", peer="docker", peer_value=theirs_run),
        Figure(name="run_rm_docker_client", value=same_client, unit="ms", peer="docker", peer_value=theirs_run),
    ]


def create_start(peer: Peer) -> float:
    """Milliseconds of POST create and POST start of a container on the default bridge; it is removed afterwards."""
    begin = time.perf_counter()
    id = peer.client.post("/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "1000"]})["Id"]
    peer.client.post(f"/containers/{id}/start")
    taken = time.perf_counter() - begin
    peer.client.delete(f"/containers/{id}?force=1")
    return taken * 1000


def run_rm(client: list[str]) -> float:
    """Milliseconds of a whole `run --rm IMAGE true`."""
    begin = time.perf_counter()
    subprocess.run([*client, "run", "--rm", IMAGE, "true"], check=True, cwd=REPO, env=PLAIN, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000
