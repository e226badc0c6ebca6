"""The few facts of an X.509 certificate that a node needs of its own: who issued it, and until when it is good.

A reader of their DER (RFC 5280, 4.1), so that no daemon loads a cryptographic library for it. It checks nothing: what it is
given was verified by TLS, or is this node's own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from common.errors import InvalidArgument

BACKDATED = 3600.0  # seconds that a certificate begins before it was issued: clocks differ
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_VERSION_TAG, _UTC_TIME = 0xA0, 0x17


class Certificate(msgspec.Struct, frozen=True):
    """Names and the public key (SubjectPublicKeyInfo) as DER, times in Unix seconds."""

    der: bytes
    issuer: bytes
    subject: bytes
    public_key: bytes
    not_before: float
    not_after: float

    @classmethod
    def of_der(cls, der: bytes) -> Certificate:
        """Raises InvalidArgument."""
        try:
            _, whole, _ = next(_elements(der))
            _, inner, _ = next(_elements(whole))
            parts = list(_elements(inner))
            if parts[0][0] == _VERSION_TAG:
                del parts[0]
            begin, end = (_moment(tag, value) for tag, value, _ in _elements(parts[3][1]))
            return cls(der, parts[2][2], parts[4][2], parts[5][2], begin, end)
        except (IndexError, ValueError, StopIteration):
            raise InvalidArgument("invalid certificate: it is not in X.509's form") from None

    @classmethod
    def of_pem(cls, text: str) -> Certificate:
        """The first one in `text`. Raises InvalidArgument."""
        return cls.of_der(next(iter(bundle(text))))


def bundle(text: str) -> list[bytes]:
    """DER of all certificates in a PEM text. Raises InvalidArgument where there is none, or a broken one."""
    try:
        found = [base64.b64decode("".join(body.split()), validate=True) for body in _PEM.findall(text)]
    except binascii.Error:
        raise InvalidArgument("invalid certificate: its PEM text is broken") from None
    if not found:
        raise InvalidArgument("invalid certificate: a PEM text with BEGIN CERTIFICATE is needed")
    return found


def pem(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def digest(der: bytes) -> bytes:
    """What a join token tells of a root: SHA-256 of its DER."""
    return hashlib.sha256(der).digest()


def _elements(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(tag, content, all with its head) of each element. Raises ValueError, IndexError."""
    at = 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, start = int.from_bytes(data[start : start + count]), start + count
        if start + size > len(data):
            raise ValueError("cut off")
        yield data[at], data[start : start + size], data[at : start + size]
        at = start + size


def _moment(tag: int, value: bytes) -> float:
    """UTCTime YYMMDDhhmmssZ (of 1950 to 2049) or GeneralizedTime YYYYMMDDhhmmssZ."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
