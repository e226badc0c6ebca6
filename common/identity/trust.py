"""What a node tells of its trust (Docker's TLSInfo): managers follow a change of the root certificate by it."""

from __future__ import annotations

import base64

from common.identity.certificate import Certificate, bundle
from common.identity.identity import Identity
from common.model.node import TLSInfo


def tls_info(identity: Identity) -> TLSInfo | None:
    """The trusted roots, and the issuer of the node's certificate; None without one."""
    if not identity.certificate:
        return None
    issuer = Certificate.of_pem(identity.certificate).issuer
    roots = map(Certificate.of_der, bundle(identity.roots))
    key = next((root.public_key for root in roots if root.subject == issuer), b"")
    return TLSInfo(
        trust_root=identity.roots,
        cert_issuer_subject=base64.b64encode(issuer).decode(),
        cert_issuer_public_key=base64.b64encode(key).decode(),
    )
