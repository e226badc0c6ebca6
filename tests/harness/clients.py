"""Which docker command line the tests drive: some of its words and flags came with version 23."""

from __future__ import annotations

import subprocess
from functools import cache

import pytest


@cache
def docker_major() -> int:
    """The client's major version; 0 where there is no client."""
    try:
        done = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(done.stdout.split("version ")[1].split(".")[0])


newer_docker = pytest.mark.skipif(
    docker_major() < 23, reason="an older docker client lacks the flag or says it otherwise"
)
