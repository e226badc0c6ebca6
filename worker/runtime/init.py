"""The init process for containers with HostConfig.Init: a static binary from the distribution that reaps orphans."""

from __future__ import annotations

from pathlib import Path

from common.errors import Unavailable

CONTAINER_PATH = "/sbin/docker-init"  # where it is mounted; run as [CONTAINER_PATH, "--", *args]
_CANDIDATES = ("/usr/bin/catatonit", "/usr/bin/tini-static", "/usr/libexec/docker/docker-init", "/usr/bin/docker-init")


def init_path() -> Path:
    """The init's binary on this machine. Raises Unavailable where none is installed."""
    for candidate in map(Path, _CANDIDATES):
        if candidate.exists():
            return candidate
    raise Unavailable("no init for containers on this machine: install the package catatonit, or leave --init out")
