"""Rotating the logs of running containers: log becomes log.1, log.1 becomes log.2, and conmon opens a new log.

conmon's own limit can only throw a full file away. It is set to the size of all files together, so that a log stays bounded
while no daemon runs; with one file only, that limit is the whole rotation and nothing is to be done here.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from common.errors import Conflict
from worker.runtime.base import Launch
from worker.runtime.inotify import Inotify
from worker.runtime.layout import Layout

_PAUSE = 0.05  # seconds between two looks at a file's size, however fast it grows
_REOPEN = "2 0 0\n"  # conmon's command


def monitor_limit(launch: Launch) -> int:
    """The limit that conmon gets, in bytes; -1 for none."""
    return launch.log_max_size * max(1, launch.log_max_files) if launch.log_max_size > 0 else -1


class Rotator:
    """Rotates the logs it was given. Acts only when a log has changed."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._logs: dict[str, _Rotated] = {}

    def add(self, launch: Launch, layout: Layout) -> None:
        if launch.log is not None and launch.log_max_size > 0 and launch.log_max_files > 1:
            self.remove(launch.id)
            rotated = _Rotated(launch.log, launch.log_max_size, launch.log_max_files, layout)
            rotated.stop = self._inotify.watch(launch.log.parent, rotated.changed)
            self._logs[launch.id] = rotated
            rotated.changed()

    def remove(self, id: str) -> None:
        """Idempotent."""
        if rotated := self._logs.pop(id, None):
            rotated.stop()
            rotated.cancel()

    def close(self) -> None:
        for id in tuple(self._logs):
            self.remove(id)


class _Rotated:
    """One container's log."""

    def __init__(self, path: Path, size: int, files: int, layout: Layout) -> None:
        self._path = path
        self._size = size
        self._files = files
        self._layout = layout
        self._timer: asyncio.TimerHandle | None = None
        self.stop: Callable[[], None] = lambda: None

    def changed(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._look)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        try:
            full = self._path.stat().st_size >= self._size
        except FileNotFoundError:
            full = True  # a daemon died between renaming and reopening
        if full and self._layout.monitor() is not None:
            self._rotate()

    def _rotate(self) -> None:
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files))]
        for older, newer in itertools.pairwise(reversed(names)):
            with suppress(FileNotFoundError):
                os.rename(newer, older)
        with suppress(Conflict):  # the container has just ended: the next one opens a new file
            self._layout.tell(_REOPEN)
