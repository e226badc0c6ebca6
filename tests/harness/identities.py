"""Identities with certificates for tests, made without the code that they test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.identity import Identity, Keys


class Root:
    """A root certificate that issues identities of nodes."""

    def __init__(self, name: str = "test root") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), timedelta(days=1))
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = builder.add_extension(ca, critical=True).sign(self._key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def identity(
        self,
        node_id: str,
        role: str = "manager",
        cluster_id: str = "cluster0",
        life: timedelta = timedelta(days=1),
        roots: Sequence[str] = (),
    ) -> Identity:
        """Until `life` from now, which may be over; trusts this root and `roots`."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = ((NameOID.COMMON_NAME, node_id), (NameOID.ORGANIZATIONAL_UNIT_NAME, f"shoal-{role}"))
        names = [*parts, (NameOID.ORGANIZATION_NAME, cluster_id)]
        subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in names])
        alternative = x509.SubjectAlternativeName([x509.DNSName(f"shoal-{role}")])
        builder = _builder(subject, self._name, key.public_key(), life).add_extension(alternative, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Identity(
            node_id=node_id,
            cluster_id=cluster_id,
            role=role,
            certificate=certificate,
            roots=self.pem + "".join(roots),
            keys=Keys(tls=private.decode(), cluster=bytes(32)),
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + life)
    )
