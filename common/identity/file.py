"""The identity on disk: `<root>/swarm/identity.json`, for root alone, replaced as one.

With an unlock key the keys lie in it sealed. Nodes of earlier versions had `<root>/node-id` and `<root>/cluster.key`, which are
taken over.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from common.durable import sync_folder, write_file
from common.errors import Unavailable
from common.identity.identity import Identity, first_identity
from common.identity.sealing import open_sealed, seal

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Identity).decode


class IdentityFile:
    """The file below `root`, and in memory the key that its keys are sealed with, None where they are not."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / "swarm" / "identity.json"
        self.unlock_key: str | None = None

    def load(self) -> Identity:
        """What is on disk; at a node's first start a new one, which then is. Raises Unavailable where it cannot be read."""
        try:
            return _decode(self.path.read_bytes())
        except FileNotFoundError:
            return self._first()
        except (msgspec.DecodeError, OSError) as error:
            raise Unavailable(
                f"this node's identity in {self.path} cannot be read ({error}): restore the file from a backup, or move it away, "
                "then the node begins anew with a cluster of its own"
            ) from None

    def save(self, identity: Identity) -> None:
        """Durably; the keys are sealed where there is an unlock key."""
        if identity.keys is not None:
            sealed = seal(identity.keys, self.unlock_key) if self.unlock_key else b""
            identity = replace(identity, keys=None if sealed else identity.keys, sealed=sealed)
        write_file(self.path, _encode(identity))

    def lock(self, identity: Identity, unlock_key: str | None) -> None:
        """Save with another unlock key from now on, or with none."""
        self.unlock_key = unlock_key or None
        self.save(identity)

    def unlock(self, identity: Identity, unlock_key: str) -> Identity:
        """`identity` with its keys; the file stays sealed. Raises Unauthorized."""
        keys = open_sealed(identity.sealed, unlock_key)
        self.unlock_key = unlock_key
        return replace(identity, keys=keys, sealed=b"")

    def _first(self) -> Identity:
        earlier = (self._root / "node-id", self._root / "cluster.key")
        node_id, key = (path.read_bytes() if path.exists() else b"" for path in earlier)
        identity = first_identity(node_id.decode().strip(), key)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(self._root)
        self.save(identity)
        for path in earlier:
            path.unlink(missing_ok=True)
        return identity
