"""Rotating the logs of running containers: log becomes log.1, log.1 becomes log.2, and so on.

conmon itself begins a new file when the log has reached its size, whether a daemon runs or not, and drops the full one. What
is to be kept therefore has a second name, log.0, from the beginning; when log is a new file, log.0 moves on to log.1. While no
daemon runs a log stays bounded: it keeps its newest file and those it had.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from worker.runtime.base import Launch
from worker.runtime.inotify import Inotify


class Rotator:
    """Keeps the rotated files of the logs it was given."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._stops: dict[str, Callable[[], None]] = {}

    def add(self, launch: Launch) -> None:
        """Look after a created container's log, where it has a limit and more than one file."""
        log, files = launch.log, launch.log_max_files
        if log is None or launch.log_max_size <= 0 or files < 2:
            return
        self.remove(launch.id)
        self._stops[launch.id] = self._inotify.watch(log.parent, lambda: shift(log, files), writes=False)
        shift(log, files)

    def remove(self, id: str) -> None:
        """Idempotent."""
        if stop := self._stops.pop(id, None):
            stop()

    def close(self) -> None:
        for id in tuple(self._stops):
            self.remove(id)


def shift(log: Path, files: int) -> None:
    """Where `log` is another file than its second name, move that one on and give `log` a new one. Idempotent."""
    second = numbered(log, 0)
    if inode(log) in (None, inode(second)):
        return
    names = [numbered(log, number) for number in range(files)]
    for older, newer in itertools.pairwise(reversed(names)):
        with suppress(FileNotFoundError):
            os.rename(newer, older)
    with suppress(FileNotFoundError):
        os.link(log, second)


def newest_first(log: Path) -> Iterator[Path]:
    """The names under which a log's files may be; two may be the same file."""
    yield log
    yield numbered(log, 0)
    for number in itertools.count(1):
        path = numbered(log, number)
        if not path.exists():
            return
        yield path


def numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def inode(path: Path) -> int | None:
    """None where there is no such file."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
