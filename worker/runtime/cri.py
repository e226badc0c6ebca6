"""The CRI log format that conmon writes: "TIME STREAM FLAG text", where flag P is a part of a line and F its end.

Pure: bytes in, whole lines out. Which bytes, and from which files, is logs.py's.
"""

from __future__ import annotations

import os
from datetime import datetime

from worker.runtime.base import LogLine

MAX_LINE = 1 << 20  # bytes; a longer line comes in several pieces without a newline
_BLOCK = 256 * 1024
_STREAMS = {b"stdout": 1, b"stderr": 2}


class Parser:
    """Joins the parts of lines, separately for each stream. A record that is no CRI (torn by a crash) is left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: dict[int, tuple[bytes, bytearray]] = {}  # stream → time, data so far
        self._second = self._offset = b""
        self._epoch = 0

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that end in `data`."""
        records = (self._rest + data).split(b"\n")
        self._rest = records.pop()
        return [line for record in records if (line := self._record(record)) is not None]

    def end(self) -> list[LogLine]:
        """What is left of lines whose end was never written."""
        parts, self._parts = self._parts, {}
        return [LogLine(self._nanos(time), stream, bytes(data)) for stream, (time, data) in parts.items()]

    def _record(self, record: bytes) -> LogLine | None:
        try:
            time, name, flag, data = record.split(b" ", 3)
            stream = _STREAMS[name]
        except (ValueError, KeyError):
            return None
        whole = flag[:1] == b"F"
        if not whole or stream in self._parts:
            return self._join(stream, time, data, whole)
        return LogLine(self._nanos(time), stream, data + b"\n")

    def _join(self, stream: int, time: bytes, data: bytes, whole: bool) -> LogLine | None:
        first, joined = self._parts.setdefault(stream, (time, bytearray()))
        joined += data + b"\n" * whole
        if not whole and len(joined) < MAX_LINE:
            return None
        del self._parts[stream]
        return LogLine(self._nanos(first), stream, bytes(joined))

    def _nanos(self, time: bytes) -> int:
        """Nanoseconds since the epoch of "2026-01-31T12:00:00.123456789+00:00"."""
        second, digits, offset = time[:19], time[20:29], time[29:]
        if second != self._second or offset != self._offset:
            self._second, self._offset = second, offset
            try:
                self._epoch = int(datetime.fromisoformat((second + offset).decode()).timestamp()) * 1_000_000_000
            except ValueError:
                self._epoch = 0
        return self._epoch + (int(digits) if digits.isdigit() else 0)


def tail_start(fd: int, lines: int) -> tuple[int, int]:
    """Where the last `lines` lines of a file begin, and how many of them it does not have. Reads from the end only."""
    position, rest, found = os.fstat(fd).st_size, b"", 0
    while position > 0:
        step = min(_BLOCK, position)
        position -= step
        block = os.pread(fd, step, position) + rest
        cut = block.find(b"\n") + 1 if position else 0  # a block's first record began in the block before
        end = position + len(block)
        for record in reversed(block[cut:].splitlines(keepends=True)):
            whole = _is_whole(record)
            if whole and found >= lines:
                return end, 0
            found += 1 if whole or not found else 0
            end -= len(record)
        rest = block[:cut]
    return 0, max(0, lines - found)


def _is_whole(record: bytes) -> bool:
    fields = record.split(b" ", 3)
    return len(fields) == 4 and fields[2][:1] == b"F"
