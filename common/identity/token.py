"""Join tokens in Swarm's form: `SWMTKN-1-<50 digits: SHA-256 of the root certificate>-<25 digits: secret>`, digits of base 36."""

from __future__ import annotations

import msgspec

from common.errors import InvalidArgument
from common.identity.certificate import bundle, digest, pem
from common.ids import base36

_PREFIX, _VERSION = "SWMTKN", "1"
_DIGEST, _SECRET = 50, 25  # digits
_DIGITS = frozenset("0123456789abcdefghijklmnopqrstuvwxyz")


class Token(msgspec.Struct, frozen=True):
    """`digest`: of the root's DER."""

    digest: bytes
    secret: str

    @classmethod
    def parse(cls, text: str) -> Token:
        """Raises InvalidArgument."""
        parts = text.strip().split("-")
        if len(parts) != 4 or parts[:2] != [_PREFIX, _VERSION] or list(map(len, parts[2:])) != [_DIGEST, _SECRET]:
            raise _invalid()
        number = int(parts[2], 36) if _DIGITS.issuperset(parts[2] + parts[3]) else 1 << 256
        if number >> 256:
            raise _invalid()
        return cls(number.to_bytes(32), parts[3])

    def __str__(self) -> str:
        return f"{_PREFIX}-{_VERSION}-{base36(int.from_bytes(self.digest), _DIGEST)}-{self.secret}"

    def root_of(self, roots: str) -> str:
        """The one of the certificates in `roots` (PEM) that the token tells of. Raises InvalidArgument where none is."""
        for der in bundle(roots):
            if digest(der) == self.digest:
                return pem(der)
        raise InvalidArgument(
            "remote CA does not match fingerprint: the root certificate of the manager is not the one that the join token was "
            "made for. Take the token from `swarm join-token` on a manager of the cluster that you mean"
        )


def token_of(root: str, secret: str) -> str:
    """The token that pins the root certificate (PEM)."""
    return str(Token(digest(bundle(root)[0]), secret))


def _invalid() -> InvalidArgument:
    return InvalidArgument(
        "invalid join token: it looks like SWMTKN-1-…-…; `swarm join-token` on a manager shows it in full"
    )
