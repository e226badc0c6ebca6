"""Snapshot files: the state after one entry, written aside, synced, then renamed; CRCs tell whether one is whole.

File: [magic, CRC-32 of the seal's header][that header][frames]. A frame is [length, CRC-32 of length and payload][payload]:
first the Snapshot without its data as MessagePack, then the data in pieces, then an empty one; each payload is sealed where
the member has a key (sealing.py). A new file is durable before an older one is removed.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from common.durable import sync_folder
from common.errors import NoSpace, ShoalError
from manager.raft.core import Snapshot
from manager.raft.disk import no_space
from manager.raft.sealing import HEADER, Altered, Keyring, Seal

PIECE = 1 << 20  # bytes of data in a frame
_MAGIC, _FORMER = b"SHS2", b"SHS1"  # the former: [magic, CRC-32 of the rest][whole Snapshot as MessagePack]
_HEAD = struct.Struct("<4sI")
_FRAME = struct.Struct("<II")
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class SnapshotFiles:
    """All methods block."""

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._folder = folder
        self._keyring = keyring
        self._key_id = keyring.current  # that of the newest one

    def tidy(self) -> None:
        """Make the folder, and remove what a killed process left half written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for aside in self._folder.glob("*.tmp"):
            aside.unlink()

    def load(self) -> Snapshot | None:
        """The newest snapshot, None where there is none yet. Raises ShoalError where it is damaged."""
        if not any(self._folder.glob("*.snap")):
            return None
        snapshot, pieces = self.open()
        return msgspec.structs.replace(snapshot, data=b"".join(pieces))

    def open(self) -> tuple[Snapshot, Iterator[bytes]]:
        """The newest snapshot without its data, and that in pieces. Both raise ShoalError where the file is damaged."""
        while True:
            path = max(self._folder.glob("*.snap"))
            try:
                pieces = self._pieces(path.open("rb"), path)
            except FileNotFoundError:
                continue  # a newer one took its place just now
            return _decode(next(pieces)), pieces

    def _pieces(self, file: BinaryIO, path: Path) -> Iterator[bytes]:
        """The Snapshot without its data, then that."""
        with file:
            magic, crc = _HEAD.unpack(file.read(_HEAD.size).ljust(_HEAD.size))
            if magic == _FORMER:
                self._key_id = b""
                yield from _former(file.read(), crc, path)
                return
            # A file in the clear has its first frame where the others have the seal's header, of which the CRC speaks.
            seal = self._keyring.seal_of(file.read(HEADER) if crc else b"", path)
            if magic != _MAGIC or seal is None or crc != zlib.crc32(seal.header):
                raise _damaged(path)
            self._key_id = seal.key_id
            yield from _frames(file, seal, path)

    def save(self, snapshot: Snapshot) -> None:
        """Make `snapshot` durable. Raises NoSpace."""
        path = self._folder / f"{snapshot.index:016x}.snap"
        aside = path.with_suffix(".tmp")
        seal = self._keyring.fresh()
        try:
            with no_space(self._folder), open(aside, "wb", opener=_private) as file:
                file.write(_HEAD.pack(_MAGIC, zlib.crc32(seal.header)) + seal.header)
                for place, payload in enumerate(_payloads(snapshot)):
                    _write_frame(file, seal.close(place, payload))
                file.flush()
                os.fsync(file.fileno())
        except NoSpace:
            aside.unlink()
            raise
        aside.rename(path)
        sync_folder(self._folder)
        self._key_id = seal.key_id

    @property
    def is_outdated(self) -> bool:
        """Whether another key seals new snapshots than the newest one."""
        return self._key_id != self._keyring.current

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


def _payloads(snapshot: Snapshot) -> Iterator[bytes]:
    yield _encode(msgspec.structs.replace(snapshot, data=b""))
    data = memoryview(snapshot.data)
    for at in range(0, len(data), PIECE):
        yield bytes(data[at : at + PIECE])
    yield b""


def _write_frame(file: BinaryIO, payload: bytes) -> None:
    file.write(_FRAME.pack(len(payload), _crc(payload)))
    file.write(payload)


def _frames(file: BinaryIO, seal: Seal, path: Path) -> Iterator[bytes]:
    """The payloads up to the empty one."""
    place = 0
    while payload := _read_frame(file, seal, place, path):
        yield payload
        place += 1


def _crc(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "little")))


def _read_frame(file: BinaryIO, seal: Seal, place: int, path: Path) -> bytes:
    head = file.read(_FRAME.size)
    if len(head) < _FRAME.size:
        raise _damaged(path)
    length, crc = _FRAME.unpack(head)
    payload = file.read(length)
    if len(payload) != length or _crc(payload) != crc:
        raise _damaged(path)
    try:
        return bytes(seal.open(place, payload))
    except Altered:
        raise _damaged(path) from None


def _former(body: bytes, crc: int, path: Path) -> Iterator[bytes]:
    if zlib.crc32(body) != crc:
        raise _damaged(path)
    yield _encode(msgspec.structs.replace(_decode(body), data=b""))
    yield _decode(body).data


def _damaged(path: Path) -> ShoalError:
    return ShoalError(f"the snapshot {path} is damaged: restore it, or remove this manager and join it anew")
