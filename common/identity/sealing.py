"""A manager's keys, sealed by the unlock key: what lies on disk of a cluster whose managers are locked."""

from __future__ import annotations

import base64
import binascii
import os

import msgspec

from common.errors import Unauthorized
from common.identity.identity import KEY_SIZE, Keys

PREFIX = "SWMKEY-1-"
NONCE = 12  # bytes before the sealed data
_PURPOSE = b"shoal keys"


def make_unlock_key() -> str:
    """A new key in Docker's form."""
    return PREFIX + base64.b64encode(os.urandom(KEY_SIZE)).decode().rstrip("=")


def seal(keys: Keys, unlock_key: str) -> bytes:
    """Raises Unauthorized where `unlock_key` is none."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE)
    return nonce + AESGCM(_raw(unlock_key)).encrypt(nonce, msgspec.json.encode(keys), _PURPOSE)


def open_sealed(sealed: bytes, unlock_key: str) -> Keys:
    """Raises Unauthorized where `unlock_key` is not the one they were sealed with."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        data = AESGCM(_raw(unlock_key)).decrypt(sealed[:NONCE], sealed[NONCE:], _PURPOSE)
    except InvalidTag:
        raise _wrong() from None
    return msgspec.json.decode(data, type=Keys)


def _raw(text: str) -> bytes:
    body = text.removeprefix(PREFIX)
    try:
        key = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong() from None
    if not text.startswith(PREFIX) or len(key) != KEY_SIZE:
        raise _wrong()
    return key


def _wrong() -> Unauthorized:
    return Unauthorized("swarm could not be unlocked: invalid key provided")
