"""A queue between a container's output and a client: it takes everything at once, so that no client can hold the container up.

What the client has not fetched is kept in memory up to a size, then in an unlinked file up to a limit; beyond the limit the
client is dropped.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from pathlib import Path
from typing import IO

MEMORY = 4 << 20  # bytes kept in memory
LIMIT = 1 << 30  # bytes a client may lag behind

Piece = tuple[int, bytes]  # stream (1 stdout, 2 stderr), data


class Overflow(Exception):
    """The reader lags behind by more than the limit."""


class Spool:
    """Bounded, unlike its name in memory only: `put` never waits. One reader."""

    def __init__(self, folder: Path, *, memory: int = MEMORY, limit: int = LIMIT) -> None:
        self._folder = folder
        self._memory = memory
        self._limit = limit
        self._pieces: deque[Piece] = deque()
        self._size = 0
        self._file: IO[bytes] | None = None
        self._read_at = 0
        self._write_at = 0
        self._closed = False
        self._news = asyncio.Event()

    def put(self, stream: int, data: bytes) -> None:
        """Raises Overflow."""
        if self._size + self._write_at - self._read_at + len(data) > self._limit:
            raise Overflow
        # Once something is in the file, all that follows goes there too: order is kept.
        if self._write_at > self._read_at or self._size + len(data) > self._memory:
            self._to_file(stream, data)
        else:
            self._pieces.append((stream, data))
            self._size += len(data)
        self._news.set()

    def end(self) -> None:
        """No more will be put."""
        self._closed = True
        self._news.set()

    async def get(self) -> Piece | None:
        """The next piece, None at the end."""
        while not self._pieces:
            if self._write_at > self._read_at:
                self._from_file()
            elif self._closed:
                return None
            else:
                self._news.clear()
                await self._news.wait()
        piece = self._pieces.popleft()
        self._size -= len(piece[1])
        return piece

    def close(self) -> None:
        """Forget what is left."""
        self._pieces.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
            self._read_at = self._write_at = 0

    def _to_file(self, stream: int, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - lives as long as the spool
        self._file.seek(self._write_at)
        self._file.write(bytes((stream,)) + len(data).to_bytes(4, "big") + data)
        self._write_at = self._file.tell()

    def _from_file(self) -> None:
        """Move pieces from the file to memory, up to its size there."""
        assert self._file is not None
        self._file.seek(self._read_at)
        while self._read_at < self._write_at and self._size < self._memory:
            head = self._file.read(5)
            data = self._file.read(int.from_bytes(head[1:], "big"))
            self._pieces.append((head[0], data))
            self._size += len(data)
            self._read_at = self._file.tell()
        if self._read_at == self._write_at:
            self._file.truncate(0)
            self._read_at = self._write_at = 0
