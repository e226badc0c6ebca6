"""Snapshot files: the state after one entry, written aside, synced, then renamed; the CRC tells whether one is whole.

File: [magic, CRC-32 of the rest][Snapshot as MessagePack]. A new one is durable before an older one is removed.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import msgspec

from common.durable import sync_folder
from common.errors import NoSpace, ShoalError
from manager.raft.core import Snapshot
from manager.raft.disk import no_space

_MAGIC = b"SHS1"
_HEADER = struct.Struct("<4sI")
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class SnapshotFiles:
    """All methods block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tidy(self) -> None:
        """Make the folder, and remove what a killed process left half written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for aside in self._folder.glob("*.tmp"):
            aside.unlink()

    def load(self) -> Snapshot | None:
        """The newest snapshot, None where there is none yet. Raises ShoalError where it is damaged."""
        paths = sorted(self._folder.glob("*.snap"))
        return _read(paths[-1]) if paths else None

    def save(self, snapshot: Snapshot) -> None:
        """Make `snapshot` durable. Raises NoSpace."""
        path = self._folder / f"{snapshot.index:016x}.snap"
        aside = path.with_suffix(".tmp")
        body = _encode(snapshot)
        try:
            with no_space(self._folder), open(aside, "wb", opener=_private) as file:
                file.write(_HEADER.pack(_MAGIC, zlib.crc32(body)))
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        except NoSpace:
            aside.unlink()
            raise
        aside.rename(path)
        sync_folder(self._folder)

    @property
    def total(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self._folder.glob("*.snap"))

    def release(self, index: int) -> None:
        """Delete snapshots older than the one at `index`."""
        for path in self._folder.glob("*.snap"):
            if int(path.stem, 16) < index:
                path.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _read(path: Path) -> Snapshot:
    data = path.read_bytes()
    body = memoryview(data)[_HEADER.size :]
    if data[: _HEADER.size] != _HEADER.pack(_MAGIC, zlib.crc32(body)):
        raise ShoalError(f"the snapshot {path} is damaged: restore it, or remove this manager and join it anew")
    return _decode(body)
