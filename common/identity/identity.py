"""What a node is. Written by the daemon of the node alone (common/identity/file.py keeps it)."""

from __future__ import annotations

import os
from zlib import crc32

import msgspec

from common.identity.certificate import BACKDATED, Certificate
from common.ids import object_id

KEY_SIZE = 32  # bytes: AES-256
SPREAD = 0.1  # of a certificate's life: within this time after its half-life it is renewed


class Keys(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`tls`: the certificate's private key, PEM. `cluster`: what the Vault seals with, on managers. `log`: of this member's Raft log.

    An empty `log` is that of a node whose log is still in the clear.
    """

    tls: str = ""
    cluster: bytes = b""
    log: bytes = b""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A node's id, cluster and role with what proves them. A node that is a cluster of its own has no `cluster_id`.

    `keys` is None while a manager is locked; then they lie in `sealed`. Addresses are host:port, `data_path` is a host;
    `certificate` is the node's own, with the intermediates that lead to a root, and `roots` is a bundle, all PEM.
    """

    node_id: str
    cluster_id: str = ""
    role: str = "manager"  # what the certificate says: worker or manager
    listen: str = ""  # where the manager serves other nodes; empty: nothing listens
    advertise: str = ""  # where others reach it
    address_kind: str = ""  # of `advertise`: worker/membership/addresses.py
    data_path: str = ""  # empty: the host of `advertise`
    managers: list[str] = []  # newest knowledge first
    certificate: str = ""
    roots: str = ""
    keys: Keys | None = None
    sealed: bytes = b""
    remains: bool = False  # of a manager of an earlier life lie on the disk, and have still to go

    @property
    def renew_at(self) -> float:
        """When the certificate is to be renewed, in Unix seconds: at its half-life or somewhat later; infinity without one.

        How much later is the node's own: nodes that came together do not all renew together.
        """
        if not self.certificate:
            return float("inf")
        own = Certificate.of_pem(self.certificate)
        issued = own.not_before + BACKDATED
        begin = issued if issued < own.not_after else own.not_before
        share = crc32(self.node_id.encode()) / (1 << 32)
        return begin + (0.5 + SPREAD * share) * (own.not_after - begin)


def new_key() -> bytes:
    """A random key for `Keys`."""
    return os.urandom(KEY_SIZE)


def first_identity(node_id: str = "", cluster_key: bytes = b"") -> Identity:
    """A cluster of one, as at a node's first start."""
    keys = Keys(cluster=cluster_key or new_key())
    return Identity(node_id=node_id or object_id(), keys=keys)
