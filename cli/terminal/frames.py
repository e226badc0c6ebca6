"""The daemon's multiplexed stream: frames of stdout and stderr, taken apart and written out.

A frame is its stream (1 stdout, 2 stderr, 3 an error of the daemon), three zero bytes, its length in 4 bytes, its payload.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from cli.errors import CliError

STDOUT, STDERR, _SYSTEM = 1, 2, 3
_HEAD = 8


class Splitter:
    """Sans-IO: bytes in, (stream, payload) out; a frame may arrive in pieces, and so does its payload leave."""

    def __init__(self) -> None:
        self._head = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Raises CliError where the bytes are no frames."""
        while data:
            if not self._left:
                data = self._begin(data)
                continue
            payload, data = data[: self._left], data[self._left :]
            self._left -= len(payload)
            yield self._stream, payload

    def _begin(self, data: bytes) -> bytes:
        need = _HEAD - len(self._head)
        self._head += data[:need]
        if len(self._head) == _HEAD:
            if self._head[1:4] != b"\0\0\0" or self._head[0] > _SYSTEM:
                raise CliError(f"the daemon's stream is not multiplexed: unexpected {self._head!r}")
            self._stream = self._head[0]
            self._left = int.from_bytes(self._head[4:], "big")
            self._head = b""
        return data[need:]


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a file descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def copy_frames(chunks: Iterable[bytes]) -> None:
    """Write a multiplexed stream to this process's stdout and stderr."""
    splitter = Splitter()
    for chunk in chunks:
        for stream, payload in splitter.feed(chunk):
            write_frame(stream, payload)


def copy_raw(chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        write_all(1, chunk)


def write_frame(stream: int, payload: bytes) -> None:
    if stream == _SYSTEM:
        raise CliError(f"error from daemon in stream: {payload.decode(errors='replace')}")
    write_all(2 if stream == STDERR else 1, payload)
