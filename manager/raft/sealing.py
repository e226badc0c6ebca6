"""Encryption at rest: what a member writes to its disk is sealed with AES-256-GCM by its own key.

Each file has a key of its own, derived (HKDF-SHA-256) from the member's key and the file's random salt, and each record a
random 96-bit nonce: no nonce comes twice under one key, whatever is cut off, written again or restored from a backup. A
record is bound to its place in its file. Lengths and CRCs stay in the clear: a torn end is told from damage without a key.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.errors import ShoalError

_MAGIC = b"SHK1"
_HEADER = struct.Struct("<4s8s16sI")  # magic, id of the member's key, salt, CRC-32 of what is before it
_NONCE = 12
HEADER = _HEADER.size


class Seal(Protocol):
    """How one file is sealed. `header` comes first in the file; `key_id` is that of the member's key."""

    header: bytes
    key_id: bytes

    def close(self, place: int, data: bytes) -> bytes:
        """`data`, sealed for `place`."""

    def open(self, place: int, data: bytes | memoryview) -> bytes | memoryview:
        """The reverse. Raises Altered."""


class Altered(Exception):
    """Sealed data is not what was written at its place."""


class Clear:
    """For files that are not sealed."""

    header = b""
    key_id = b""

    def close(self, place: int, data: bytes) -> bytes:
        return data

    def open(self, place: int, data: bytes | memoryview) -> bytes | memoryview:
        return data


class AesSeal:
    def __init__(self, key: bytes, salt: bytes) -> None:
        self.key_id = key_id(key)
        start = _HEADER.pack(_MAGIC, self.key_id, salt, 0)[:-4]
        self.header = start + zlib.crc32(start).to_bytes(4, "little")
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt, b"shoal raft file").derive(key))

    def close(self, place: int, data: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, place.to_bytes(8, "little"))

    def open(self, place: int, data: bytes | memoryview) -> bytes:
        try:
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], place.to_bytes(8, "little"))
        except (InvalidTag, ValueError):
            raise Altered from None


class Keyring:
    """A member's keys, 32 bytes each: the first seals new files, the others open older ones. Without any, new files are
    in the clear."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {key_id(key): key for key in keys}
        self.current = key_id(keys[0]) if keys else b""

    def fresh(self) -> Seal:
        """For a file that begins now."""
        return AesSeal(self._keys[self.current], os.urandom(16)) if self.current else Clear()

    def seal_of(self, start: bytes | memoryview, path: Path) -> Seal | None:
        """That of the file which begins with `start`; None where its header is torn. Raises ShoalError without its key."""
        if not _MAGIC.startswith(start[: len(_MAGIC)]):
            return Clear()
        if len(start) < HEADER or zlib.crc32(start[: HEADER - 4]).to_bytes(4, "little") != start[HEADER - 4 : HEADER]:
            return None if start else Clear()
        _, wanted, salt, _ = _HEADER.unpack_from(start)
        if wanted not in self._keys:
            raise ShoalError(
                f"{path} is sealed with a key that this manager does not have: give it the key back, or remove this "
                "manager and join it anew"
            )
        return AesSeal(self._keys[wanted], salt)


def key_id(key: bytes) -> bytes:
    """Tells keys apart, and nothing of the key."""
    return hashlib.sha256(b"shoal raft key" + key).digest()[:8]
