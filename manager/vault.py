"""Secrets at rest: their data is sealed before it is proposed, and opened only on its way to a worker.

The key lies in a file of this node, readable by root alone; neither the log, nor snapshots, nor answers hold clear data.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from common.durable import write_file
from common.errors import Unavailable
from common.model import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE = "cluster.key"
NONCE = 12  # bytes before the sealed data


class Vault:
    """Seals with AES-256-GCM, bound to the secret's id: sealed data of one secret does not open as another's."""

    def __init__(self, root: Path) -> None:
        self._path = root / KEY_FILE

    def seal(self, id: str, data: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, data, id.encode())

    def open(self, secret: Secret) -> Secret:
        """`secret` with its data in the clear. Raises Unavailable where this node's key is not the one it was sealed with."""
        from cryptography.exceptions import InvalidTag

        sealed = secret.spec.data
        try:
            data = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], secret.id.encode())
        except InvalidTag:
            raise Unavailable(f"secret {secret.spec.name} cannot be opened with the key in {self._path}") from None
        return msgspec.structs.replace(secret, spec=msgspec.structs.replace(secret.spec, data=data))

    @cached_property
    def _cipher(self) -> AESGCM:
        # Imported with the first secret: most clusters at rest never need it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._path.exists():
            write_file(self._path, AESGCM.generate_key(256))
        return AESGCM(self._path.read_bytes())
