"""What roots' and nodes' certificates have in common: how one is built and signed, and PEM texts read. X.509 by `cryptography`."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from common.errors import InvalidArgument
from common.identity.certificate import BACKDATED

BACK = timedelta(seconds=BACKDATED)
_DER, _PEM = serialization.Encoding.DER, serialization.Encoding.PEM
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


def certificate(
    subject: x509.Name,
    public: PublicKey,
    life: tuple[datetime, datetime],
    *,
    issuer: x509.Certificate | None = None,
    key_id: x509.SubjectKeyIdentifier | None = None,
    path_length: int | None = None,
) -> x509.CertificateBuilder:
    """A certificate of `subject` by `issuer`, or by itself; of an authority where `path_length` is given."""
    own = key_id or x509.SubjectKeyIdentifier.from_public_key(public)
    above = key_id_of(issuer) if issuer else own
    authority = path_length is not None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
    )


def key_id_of(found: x509.Certificate) -> x509.SubjectKeyIdentifier:
    try:
        return found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(found.public_key())


def _usage(*, authority: bool) -> x509.KeyUsage:
    """A root signs certificates, a node handshakes."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def signed(builder: x509.CertificateBuilder, key: Key) -> str:
    """As PEM."""
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return text_of(builder.sign(key, algorithm))


def text_of(found: x509.Certificate) -> str:
    return found.public_bytes(_PEM).decode()


def issued(found: x509.Certificate, by: x509.Certificate) -> bool:
    """Whether the authority `by` signed it."""
    try:
        found.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return is_authority(by)


def is_authority(found: x509.Certificate) -> bool:
    try:
        return found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def load(text: str) -> x509.Certificate:
    """Raises InvalidArgument."""
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        raise InvalidArgument("invalid certificate: a PEM text with BEGIN CERTIFICATE is needed") from None


def load_key(text: str) -> Key:
    """Raises InvalidArgument."""
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        raise InvalidArgument("invalid CA key: a PEM text with an unencrypted private key is needed") from None
    if not isinstance(key, Key):
        raise InvalidArgument("invalid CA key: ECDSA, RSA and Ed25519 keys can be used")
    return key


def public_key(found: x509.Certificate) -> PublicKey:
    """Raises InvalidArgument where it is of a kind that nobody here signs by."""
    key = found.public_key()
    if not isinstance(key, PublicKey):
        raise InvalidArgument("invalid certificate: ECDSA, RSA and Ed25519 keys can be used")
    return key


def raw(key: PublicKey) -> bytes:
    return key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_text(key: Key) -> str:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
