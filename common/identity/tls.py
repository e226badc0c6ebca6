"""TLS between nodes by their certificates: contexts for both sides, and who the other side is.

A manager's server asks each client for a certificate and takes none as well: joining is for those who have none yet. What a
peer may do is its own matter (manager/ca/guard.py).
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import msgspec

from common.errors import Unavailable
from common.identity.identity import Identity

if TYPE_CHECKING:
    from aiohttp import web

SERVER_NAME = "shoal-manager"  # what managers' certificates are for: clients check it in place of an address
_ROLES = {"shoal-manager": "manager", "shoal-worker": "worker"}


class Peer(msgspec.Struct, frozen=True):
    """What a verified certificate says of its node."""

    node_id: str
    role: str
    cluster_id: str
    begin: float = 0.0  # Unix seconds, of the certificate: somewhat before it was issued


class Tls:
    """The contexts of one identity. `reload` changes them for new connections; those that are open stay."""

    def __init__(self, identity: Identity) -> None:
        """Raises Unavailable where the identity's certificate, key and roots do not go together."""
        self.server = _asking()
        self.server.sni_callback = self._choose
        self.reload(identity)

    @property
    def client(self) -> ssl.SSLContext:
        """For connections to managers, with server_hostname=SERVER_NAME. Ask for it anew for each connection."""
        return self._client

    def reload(self, identity: Identity) -> None:
        self._present, self._client = _server(identity), _client(identity)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """A context cannot forget a root: so a server keeps an empty one, and each handshake goes on with the present one."""
        connection.context = self._present


def _server(identity: Identity) -> ssl.SSLContext:
    context = _asking()
    _load(context, identity)
    return context


def _asking() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a resumed session would not have its certificate verified again
    return context


def _client(identity: Identity) -> ssl.SSLContext:
    context = pinned(identity.roots)
    _load(context, identity)
    return context


def pinned(roots: str) -> ssl.SSLContext:
    """A client's context without a certificate of its own, which trusts only `roots` (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=roots)
    return context


def _load(context: ssl.SSLContext, identity: Identity) -> None:
    if identity.keys is None or not identity.certificate:
        raise Unavailable("this node has no certificate: it is in no cluster with others, or it is locked")
    # The standard library reads a key only from a file; this one is never on a disk.
    fd = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(fd, "w", encoding="ascii", closefd=False) as file:
            file.write(identity.keys.tls + identity.certificate)
        context.load_cert_chain(f"/proc/self/fd/{fd}")
        context.load_verify_locations(cadata=identity.roots)
    except (ssl.SSLError, OSError) as error:
        raise Unavailable(f"this node's certificate and key cannot be used: {error}") from None
    finally:
        os.close(fd)


def peer_of(request: web.Request) -> Peer | None:
    """Who sent `request`, by the certificate that was verified in its connection's handshake; None without one."""
    connection = request.transport and request.transport.get_extra_info("ssl_object")
    certificate = connection.getpeercert() if connection else None
    return peer(certificate) if certificate else None


def peer(certificate: ssl._PeerCertRetDictType) -> Peer | None:
    """None where it is not a node's certificate."""
    subject = dict(pair for part in certificate["subject"] for pair in part)  # type: ignore[misc]
    node_id, cluster_id = subject.get("commonName"), subject.get("organizationName")
    role = _ROLES.get(subject.get("organizationalUnitName", ""))
    if not (node_id and cluster_id and role):
        return None
    return Peer(node_id, role, cluster_id, float(ssl.cert_time_to_seconds(str(certificate["notBefore"]))))
