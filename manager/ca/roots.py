"""Root certificates: made, checked where a user brings one, and one signed by another. Imported only by those who sign."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.errors import InvalidArgument
from manager.ca.building import (
    BACK,
    certificate,
    is_authority,
    issued,
    key_id_of,
    load,
    load_key,
    private_text,
    public_key,
    raw,
    signed,
    text_of,
)

LIFE = timedelta(days=20 * 365)


def make_root() -> tuple[str, str]:
    """A root certificate and its key, PEM. Each has a name of its own, so that nobody takes one for another."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"shoal-ca-{secrets.token_hex(4)}")])
    builder = certificate(name, key.public_key(), (now - BACK, now + LIFE), path_length=1)
    return signed(builder, key), private_text(key)


def check_root(text: str, key: str = "") -> str:
    """A user's root as this cluster keeps it. Raises InvalidArgument where it is none, or `key` is not its own."""
    root = load(text)
    if root.subject != root.issuer or not is_authority(root) or not issued(root, root):
        raise InvalidArgument("invalid CA certificate: a root is needed, signed by itself and with CA:TRUE")
    if not root.not_valid_before_utc <= datetime.now(UTC) < root.not_valid_after_utc:
        raise InvalidArgument(
            f"invalid CA certificate: it is good from {root.not_valid_before_utc:%F %T} to {root.not_valid_after_utc:%F %T} UTC only"
        )
    if key and raw(load_key(key).public_key()) != raw(public_key(root)):
        raise InvalidArgument("invalid CA key: it is not the key of the CA certificate")
    return text_of(root)


def cross_sign(text: str, by: str, key: str) -> str:
    """The root `text` signed by the root `by` with its key, so that who trusts only that one finds the way."""
    root, older = load(text), load(by)
    life = (root.not_valid_before_utc, min(root.not_valid_after_utc, older.not_valid_after_utc))
    builder = certificate(root.subject, public_key(root), life, issuer=older, key_id=key_id_of(root), path_length=0)
    return signed(builder, load_key(key))
