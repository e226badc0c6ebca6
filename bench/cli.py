"""How long the command line takes for `version` against a running daemon, beside Docker's client."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.figure import Figure, medians
from bench.peers import PLAIN, shoal

ROUNDS = 20


def main() -> list[Figure]:
    with shoal() as (ours, _):
        launcher = Path(sys.executable).with_name("shoal")
        commands = [[str(launcher), "-H", ours.url, "version"]]
        if shutil.which("docker"):
            commands.append(["docker", "-H", ours.url, "version"])
        values = medians(ROUNDS, *(lambda command=command: _time(command) for command in commands))
    if len(values) == 1:
        return [Figure(name="version_ms", value=values[0], unit="ms")]
    return [Figure(name="version_ms", value=values[0], unit="ms", peer="docker", peer_value=values[1])]


def _time(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, env=PLAIN, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000
