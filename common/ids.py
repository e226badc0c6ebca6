"""Identifiers and names. Containers and networks carry 64 hex digits as in Docker, cluster objects 25 base-36 ones as in Swarm."""

from __future__ import annotations

import re
import secrets

from common.errors import InvalidArgument

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def hex_id() -> str:
    """64 random hex digits: containers, networks, execs, images' own ids are digests instead."""
    return secrets.token_hex(32)


def object_id() -> str:
    """25 random base-36 digits (124 bits), as SwarmKit's `identity.NewID`."""
    return base36(secrets.randbits(124), 25)


def base36(number: int, length: int) -> str:
    """The last `length` base-36 digits of `number`."""
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 36)
        digits.append(_BASE36[rest])
    return "".join(reversed(digits))


def check_name(kind: str, name: str) -> str:
    """Return `name` when it is a valid name for `kind`, else raise InvalidArgument."""
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise InvalidArgument(
            f"invalid {kind} name {name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, at most 255 characters",
            (kind, name),
        )
    return name
