"""The write-ahead log: what a member must not forget, in records that are durable before anybody is answered.

A record is [magic, length, CRC-32 of length and payload][payload]; its payload is a Record as MessagePack, sealed where
the member has a key (sealing.py): the segment then begins with the seal's header. One append is one write and one
fdatasync. Segments are numbered files; only the end of the last one can be torn, and is cut off when the log is opened.
Damage anywhere else is refused: cutting there would forget what was acknowledged.
Which snapshot the entries follow is storage.py's knowledge.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from common.durable import sync_folder
from common.errors import NoSpace, ShoalError
from manager.raft.core import Entry, HardState
from manager.raft.disk import no_space, write_all
from manager.raft.sealing import HEADER, Altered, Clear, Keyring, Seal

SEGMENT = 16 << 20  # bytes after which the next segment begins
_MAGIC = b"SHW1"
_HEADER = struct.Struct("<4sII")


class Record(msgspec.Struct, frozen=True, array_like=True):
    """`entries` replace all from the first one's index on. `reset`: the log starts anew behind a snapshot at this index.
    `cut`: before that, all behind this index is forgotten."""

    hard_state: HardState
    entries: list[Entry] = []
    reset: int = -1
    cut: int = -1


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class Segment(NamedTuple):
    """`last` is the highest entry index in it."""

    path: Path
    last: int
    size: int
    key_id: bytes


class Wal:
    """Open by `read_all`, which must be exhausted before the first append. All methods block."""

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._folder = folder
        self._keyring = keyring
        self._fd = -1
        self._size = 0
        self._last = 0  # highest entry index in the open segment
        self._seal: Seal = Clear()
        self._older: list[Segment] = []
        self._number = 0

    @property
    def size(self) -> int:
        """Bytes in the segment that is written to."""
        return self._size

    @property
    def total(self) -> int:
        """Bytes in all segments."""
        return self._size + sum(segment.size for segment in self._older)

    @property
    def is_outdated(self) -> bool:
        """Whether another key seals new segments than the open one, or any."""
        return any(id != self._keyring.current for id in (self._seal.key_id, *(old.key_id for old in self._older)))

    @property
    def is_full(self) -> bool:
        """Whether the next segment should begin."""
        return self._size > SEGMENT or self._seal.key_id != self._keyring.current

    def read_all(self) -> Iterator[Record]:
        """Every record in order. Cuts a torn end off, raises ShoalError on damage before it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        segments = sorted(self._folder.glob("*.wal"))
        self._check_numbers(segments)
        for path in segments:
            self._last = 0
            data = path.read_bytes()
            end = 0
            if (seal := self._keyring.seal_of(data[:HEADER], path)) is not None:
                end, self._seal = len(seal.header), seal
                for record, end in _records(data, seal, path):  # noqa: B007 (the last end is used below)
                    self._note(record)
                    yield record
            if end < len(data):
                self._cut(path, data, end, last=path == segments[-1])
            self._older.append(Segment(path, self._last, end, self._seal.key_id))
        self._reopen(segments)

    def append(self, record: Record) -> None:
        """Make `record` durable. Raises NoSpace with nothing written; after any other OSError the log is unusable."""
        data = _pack(record, self._seal, self._size)
        try:
            with no_space(self._folder):
                write_all(self._fd, data)
        except NoSpace:
            os.ftruncate(self._fd, self._size)
            raise
        os.fdatasync(self._fd)
        self._size += len(data)
        self._note(record)

    def roll(self, hard_state: HardState) -> None:
        """Begin the next segment, which repeats the hard state so that older segments can go. Raises NoSpace."""
        path = self._path(self._number + 1)
        fd, seal = _create(path), self._keyring.fresh()
        data = seal.header + _pack(Record(hard_state), seal, len(seal.header))
        try:
            with no_space(self._folder):
                write_all(fd, data)
                os.fsync(fd)
        except (OSError, NoSpace):
            os.close(fd)
            path.unlink()
            raise
        sync_folder(self._folder)
        os.close(self._fd)
        self._older.append(Segment(self._path(self._number), self._last, self._size, self._seal.key_id))
        self._number, self._fd, self._size, self._last = self._number + 1, fd, len(data), 0
        self._seal = seal

    def release(self, index: int) -> None:
        """Delete the oldest segments that hold no entry behind `index`."""
        while self._older and self._older[0].last <= index:
            self._older.pop(0).path.unlink()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:016x}.wal"

    def _check_numbers(self, segments: list[Path]) -> None:
        numbers = [int(path.stem, 16) for path in segments]
        if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise ShoalError(
                f"a segment is missing in {self._folder}: put it back, or remove this manager and join it anew"
            )

    def _note(self, record: Record) -> None:
        if record.entries:
            self._last = max(self._last, record.entries[-1].index)

    def _cut(self, path: Path, data: bytes, end: int, *, last: bool) -> None:
        if not last or _any_record_after(data, end + 1):
            raise _damaged(path, end)
        with path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())

    def _reopen(self, segments: list[Path]) -> None:
        if segments:
            path, self._last, self._size, _ = self._older.pop()
            self._number = int(path.stem, 16)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        else:
            self._number, self._fd, self._size = 1, _create(self._path(1)), 0
            sync_folder(self._folder)
        if self._size == 0:
            self._seal = self._keyring.fresh()
            with no_space(self._folder):
                write_all(self._fd, self._seal.header)
            self._size = len(self._seal.header)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def _crc(length: int, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(length.to_bytes(4, "little")))


def _damaged(path: Path, at: int) -> ShoalError:
    return ShoalError(
        f"the write-ahead log {path} is damaged at byte {at}: restore it, or remove this manager and join it anew"
    )


def _pack(record: Record, seal: Seal, at: int) -> bytes:
    payload = seal.close(at, _encode(record))
    return _HEADER.pack(_MAGIC, len(payload), _crc(len(payload), payload)) + payload


def _record_at(data: memoryview, at: int) -> tuple[memoryview, int] | None:
    """The payload of the record at `at` and where it ends; None where there is no whole, sound record."""
    start = at + _HEADER.size
    if start > len(data):
        return None
    magic, length, crc = _HEADER.unpack_from(data, at)
    payload = data[start : start + length]
    if magic != _MAGIC or len(payload) != length or _crc(length, payload) != crc:
        return None
    return payload, start + length


def _records(data: bytes, seal: Seal, path: Path) -> Iterator[tuple[Record, int]]:
    """The records from the start of a segment with the end of each, up to the first that is not sound."""
    view, at = memoryview(data), len(seal.header)
    while (found := _record_at(view, at)) is not None:
        try:
            record = _decode(seal.open(at, found[0]))
        except Altered:
            raise _damaged(path, at) from None
        at = found[1]
        yield record, at


def _any_record_after(data: bytes, start: int) -> bool:
    view = memoryview(data)
    at = data.find(_MAGIC, start)
    while at >= 0:
        if _record_at(view, at) is not None:
            return True
        at = data.find(_MAGIC, at + 1)
    return False
