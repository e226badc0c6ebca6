"""The file that `shoal cluster backup` writes: a head that says what it is, and the cluster's state, sealed by a passphrase.

    MAGIC · length of the head (4 bytes, big-endian) · head (MessagePack) · body · SHA-256 of all that

The command line seals and opens, so that no passphrase reaches a daemon; between the two a backup travels unsealed. What is
in it is as secret as a manager's disk: the key that opens all of the cluster's secrets.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from common.errors import InvalidArgument, Unauthorized

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"shoal cluster backup\n"
FORMAT = 1
SALT, NONCE = 16, 12  # bytes
COST = 1 << 16  # scrypt's n, with r=8 and p=1: 64 MiB of memory and a fraction of a second for each guess
_MOST = 1 << 20  # what a file may ask for
_DIGEST = 32  # bytes of a SHA-256
BACKUP = "/shoal/v1/cluster/backup"
RESTORE = "/shoal/v1/restore"  # of the manager alone: clients ask the daemon, at /shoal/v1/cluster/restore

Bytes = bytes | memoryview
_encode = msgspec.msgpack.Encoder().encode


class Sealing(msgspec.Struct, frozen=True):
    """scrypt's parameters, and AES-256-GCM's nonce."""

    salt: bytes
    nonce: bytes
    cost: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """`made` in ISO 8601. Nothing here is secret; where the body is sealed, the head is sealed with it."""

    format: int = FORMAT
    cluster_id: str
    made: str
    sealing: Sealing | None = None


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The body: a snapshot of the store at `revision`, and the key that the Vault seals with (manager/vault.py)."""

    cluster_key: bytes
    revision: int
    state: bytes


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon asks its manager to make ready: `address` is where it will be reached, `csr` and `log_key` its own."""

    address: str
    csr: str
    log_key: bytes
    backup: bytes


def pack(cluster_id: str, made: str, content: Content) -> bytes:
    """An unsealed backup."""
    return _joined(Head(cluster_id=cluster_id, made=made), msgspec.msgpack.encode(content))


def head_of(data: Bytes) -> Head:
    """Raises InvalidArgument where it is no backup, a damaged one, or one of a later version."""
    return _split(data)[0]


def seal(data: bytes, passphrase: bytes) -> bytes:
    """A backup that only the passphrase opens, of an unsealed one."""
    head, body = _split(data)
    sealing = Sealing(os.urandom(SALT), os.urandom(NONCE), COST)
    sealed_head = msgspec.structs.replace(head, sealing=sealing)
    return _joined(sealed_head, _cipher(sealing, passphrase).encrypt(sealing.nonce, body, _encode(sealed_head)))


def unseal(data: bytes, passphrase: bytes) -> bytes:
    """The reverse. Raises Unauthorized where it is another passphrase."""
    from cryptography.exceptions import InvalidTag

    head, body = _split(data)
    if head.sealing is None:
        return data
    cost = head.sealing.cost
    if not 1 < cost <= _MOST or cost & (cost - 1) or len(head.sealing.nonce) != NONCE:
        raise _damaged()
    try:
        plain = _cipher(head.sealing, passphrase).decrypt(head.sealing.nonce, body, _encode(head))
    except InvalidTag:
        raise Unauthorized("the backup does not open with this passphrase") from None
    return _joined(msgspec.structs.replace(head, sealing=None), plain)


def unpack(data: bytes) -> Content:
    """What is in an unsealed backup. Raises InvalidArgument."""
    head, body = _split(data)
    if head.sealing is not None:
        raise InvalidArgument("the backup is sealed: open it with its passphrase (`shoal cluster restore`)")
    try:
        return msgspec.msgpack.decode(body, type=Content)
    except msgspec.DecodeError:
        raise _damaged() from None


def _joined(head: Head, body: Bytes) -> bytes:
    encoded = _encode(head)
    whole = b"".join((MAGIC, len(encoded).to_bytes(4, "big"), encoded, body))
    return whole + hashlib.sha256(whole).digest()


def _split(data: Bytes) -> tuple[Head, memoryview]:
    view = memoryview(data)
    if view[: len(MAGIC)] != MAGIC:
        raise InvalidArgument("this is no backup of a cluster: `shoal cluster backup` writes one")
    whole, digest = view[:-_DIGEST], view[-_DIGEST:]
    if hashlib.sha256(whole).digest() != digest:
        raise _damaged()
    start = len(MAGIC) + 4
    end = start + int.from_bytes(whole[len(MAGIC) : start], "big")
    _check_format(whole[start:end])
    try:
        return msgspec.msgpack.decode(whole[start:end], type=Head), whole[end:]
    except (msgspec.DecodeError, ValueError):
        raise _damaged() from None


def _check_format(head: memoryview) -> None:
    """A later version's head may differ in all but this."""
    try:
        found = msgspec.msgpack.decode(head)["format"]
    except (msgspec.DecodeError, LookupError, TypeError, ValueError):
        raise _damaged() from None
    if found != FORMAT:
        raise InvalidArgument(
            f"the backup is of format {found}, this version knows {FORMAT}: restore it by a newer Shoal"
        )


def _damaged() -> InvalidArgument:
    return InvalidArgument("the backup is damaged: its content is not what was written. Take another copy of it")


def _cipher(sealing: Sealing, passphrase: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return AESGCM(Scrypt(salt=sealing.salt, length=32, n=sealing.cost, r=8, p=1).derive(passphrase))
