"""Reading a container's log: its file in CRI format and the rotated ones.

Rotation (rotation.py) renames files: a reader goes by open descriptors and therefore loses nothing and repeats nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from worker.runtime.base import LogLine
from worker.runtime.cri import Parser, tail_start
from worker.runtime.inotify import Inotify
from worker.runtime.layout import Layout
from worker.runtime.rotation import inode as inode_of
from worker.runtime.rotation import newest_first

_CHUNK = 256 * 1024  # bytes read at once


class ContainerLog:
    """Implements worker.runtime.base.LogReader. `layout` is the running container's; without it following ends at the end."""

    def __init__(self, path: Path, inotify: Inotify, layout: Layout | None = None) -> None:
        self._path = path
        self._inotify = inotify
        self._layout = layout

    async def read(
        self,
        *,
        follow: bool = False,
        tail: int = -1,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[LogLine]:
        async for batch in self.batches(follow=follow, tail=tail, since=_nanos(since), until=_nanos(until)):
            for line in batch:
                yield line

    async def batches(
        self, *, follow: bool = False, tail: int = -1, since: int | None = None, until: int | None = None
    ) -> AsyncIterator[list[LogLine]]:
        """The same in lists of what is there at a time; `since` and `until` in nanoseconds since the epoch, inclusive."""
        parser = Parser()
        with self._changes(follow, until) as changes, _Generations(self._path) as files:
            files.skip_to_tail(tail)
            if not follow and until is None:
                until = time.time_ns()  # a container that writes faster than we read must not keep us for ever
            while True:
                last = not await changes.expect()
                while data := files.read():
                    lines = parser.feed(data)
                    yield _between(lines, since, until)
                    if until is not None and lines and lines[-1].nanos > until:
                        return
                    await asyncio.sleep(0)
                if last:
                    break
            yield _between(parser.end(), since, until)

    @contextmanager
    def _changes(self, follow: bool, until: int | None) -> Iterator[_Changes]:
        """What to wait for between reads; nothing where the container does not run."""
        changes = _Changes(until)
        monitor = self._layout.monitor() if follow and self._layout else None
        with ExitStack() as stack:
            if monitor is not None and changes.watch_end(monitor, stack):
                stack.callback(self._inotify.watch(self._path.parent, changes.event.set))
            yield changes


class _Changes:
    """Says when there may be something new to read, and when nothing more can come."""

    def __init__(self, until: int | None) -> None:
        self.event = asyncio.Event()
        self.event.set()
        self._until = until
        self._following = False

    def watch_end(self, monitor: int, stack: ExitStack) -> bool:
        """Stop following when this process ends. False where it has ended already."""
        try:
            fd = os.pidfd_open(monitor)
        except ProcessLookupError:
            return False
        loop = asyncio.get_running_loop()
        stack.callback(os.close, fd)
        loop.add_reader(fd, self._end, loop, fd)
        stack.callback(loop.remove_reader, fd)
        self._following = True
        return True

    def _end(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        loop.remove_reader(fd)
        self._following = False
        self.event.set()

    async def expect(self) -> bool:
        """Wait for a change; False where the read that comes now is the last one."""
        if self._following:
            remaining = None if self._until is None else self._until / 1e9 - time.time()
            try:
                async with asyncio.timeout(remaining):
                    await self.event.wait()
            except TimeoutError:
                return False
        self.event.clear()
        return self._following


class _Generations:
    """The open files of one log, oldest first. An open file's inode cannot be given to another: it tells files apart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[tuple[int, int]] = []  # (inode, descriptor)
        self._current = 0  # index of the file that is being read
        self._look()

    def __enter__(self) -> _Generations:
        return self

    def __exit__(self, *_: object) -> None:
        for _inode, fd in self._open:
            os.close(fd)

    def skip_to_tail(self, lines: int) -> None:
        """Go to where the last `lines` lines begin (-1: to the very beginning)."""
        missing = lines
        for index in range(len(self._open) - 1, -1, -1) if lines >= 0 else ():
            fd = self._open[index][1]
            start, missing = tail_start(fd, missing) if missing else (os.fstat(fd).st_size, 0)
            os.lseek(fd, start, os.SEEK_SET)
            self._current = index
            if not missing:
                break

    def read(self) -> bytes:
        """The next bytes, b"" where there are none now."""
        while True:
            self._look()
            # Looked for newer files first: what comes from this one now is all there is before theirs.
            data = os.read(self._open[self._current][1], _CHUNK) if self._open else b""
            if data or self._current + 1 >= len(self._open):
                return data
            self._current += 1

    def _look(self) -> None:
        """Open files that are new; close those that were rotated away and are read."""
        if self._open and self._open[-1][0] == inode_of(self._path):
            return
        known = {inode for inode, _ in self._open}
        listed = set()
        new = []
        for path in newest_first(self._path):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            inode = os.fstat(fd).st_ino
            if inode in known or inode in listed:
                os.close(fd)
            else:
                new.append((inode, fd))
            listed.add(inode)
        self._open += reversed(new)
        self._drop(listed)

    def _drop(self, listed: set[int]) -> None:
        while self._current > 0 and self._open[0][0] not in listed:
            os.close(self._open.pop(0)[1])
            self._current -= 1


def _between(lines: list[LogLine], since: int | None, until: int | None) -> list[LogLine]:
    if since is None and until is None:
        return lines
    return [x for x in lines if (since is None or x.nanos >= since) and (until is None or x.nanos <= until)]


def _nanos(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1_000_000) * 1000
