"""Nodes' certificates: issued for a CSR, and read back. Of a CSR only the key counts. Imported only by those who sign or check.

A node's certificate says CN = its id, OU = its role, O = its cluster, and is for a server and a client alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import Forbidden, InvalidArgument
from common.identity.tls import Peer
from manager.ca.building import BACK, certificate, issued, load, load_key, public_key, raw, signed

_UNIT = "shoal-"  # before the role, in OU and host names
_SUBJECT = (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME)


def issue(csr: str, node: Peer, life: timedelta, root: str, key: str) -> str:
    """A certificate for the CSR's key by `root`, good until `life` from now, or as long as the root. Raises InvalidArgument."""
    authority, now = load(root), datetime.now(UTC)
    begin = max(now - BACK, authority.not_valid_before_utc)
    end = min(now + life, authority.not_valid_after_utc)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in host_names(node)])
    builder = certificate(_subject(node), csr_key(csr), (begin, end), issuer=authority)
    return signed(builder.add_extension(usage, critical=False).add_extension(names, critical=False), load_key(key))


def unit(role: str) -> str:
    """The OU of a role, and the host name that its certificates are for."""
    return _UNIT + role


def host_names(node: Peer) -> list[str]:
    return [unit(node.role), node.node_id]


def csr_key(csr: str) -> ec.EllipticCurvePublicKey:
    """The key that a CSR asks for, which signed it. Raises InvalidArgument."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        valid, key = request.is_signature_valid, request.public_key()
    except ValueError:
        raise InvalidArgument(
            "invalid certificate request: a PEM text with BEGIN CERTIFICATE REQUEST is needed"
        ) from None
    if not valid:
        raise InvalidArgument("invalid certificate request: it is not signed by the key it asks for")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size < 256:
        raise InvalidArgument("invalid certificate request: an ECDSA key of 256 bits or more is needed")
    return key


def is_for(chain: str, csr: str) -> bool:
    """Whether the first certificate of `chain` is for the CSR's key."""
    return raw(public_key(load(chain))) == raw(csr_key(csr))


def holder(chain: str) -> Peer:
    """Whose node certificate the first one is, unchecked. Raises InvalidArgument."""
    subject = load(chain).subject
    texts = [next((str(part.value) for part in subject.get_attributes_for_oid(kind)), "") for kind in _SUBJECT]
    return Peer(texts[0], texts[1].removeprefix(_UNIT), texts[2])


def check_chain(chain: str, roots: str) -> None:
    """That the first certificate of `chain` leads by the others to one of `roots`, whatever the time. Raises Forbidden."""
    present, *above = x509.load_pem_x509_certificates(chain.encode())
    trusted = x509.load_pem_x509_certificates(roots.encode())
    while not any(issued(present, root) for root in trusted):
        step = next((other for other in above if issued(present, other)), None)
        if step is None:
            raise Forbidden("the certificate does not come from this cluster's root")
        above.remove(step)
        present = step


def _subject(node: Peer) -> x509.Name:
    texts = (node.node_id, unit(node.role), node.cluster_id)
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in zip(_SUBJECT, texts, strict=True)])
