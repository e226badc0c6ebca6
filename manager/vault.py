"""Secrets at rest: what nobody may read in the log is sealed before it is proposed, and opened only where it is used.

The key is the cluster's, which each manager's identity holds; neither the log, nor snapshots, nor answers hold clear data.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from common.errors import Unavailable
from common.model import Cluster, Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12  # bytes before the sealed data


class Vault:
    """Seals with AES-256-GCM, bound to the id of an object: sealed data of one does not open as another's."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def seal(self, id: str, data: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, data, id.encode())

    def unseal(self, id: str, sealed: bytes) -> bytes:
        """Raises Unavailable where this cluster's key is not the one it was sealed with."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], id.encode())
        except InvalidTag:
            raise Unavailable(f"what is sealed for {id} cannot be opened with this node's cluster key") from None

    def open(self, secret: Secret) -> Secret:
        """`secret` with its data in the clear. Raises Unavailable."""
        try:
            data = self.unseal(secret.id, secret.spec.data)
        except Unavailable:
            raise Unavailable(
                f"secret {secret.spec.name} cannot be opened with this node's cluster key", ("secret", secret.id)
            ) from None
        return msgspec.structs.replace(secret, spec=msgspec.structs.replace(secret.spec, data=data))

    def unlock_key(self, cluster: Cluster) -> str | None:
        """The key that locks the cluster's managers, None where none does."""
        return self.unseal(cluster.id, cluster.unlock_key).decode() if cluster.unlock_key else None

    @cached_property
    def _cipher(self) -> AESGCM:
        # Imported with the first use: a cluster at rest does without.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key)
