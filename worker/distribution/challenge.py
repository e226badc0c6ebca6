"""The WWW-Authenticate header of registries, taken apart (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][\w-]*)(?:\s+|$)(?!=)")
_FIELD = re.compile(r'\s*,?\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Challenge(NamedTuple):
    """`scheme` in lower case."""

    scheme: str
    fields: Mapping[str, str]


def parse(headers: Sequence[str]) -> list[Challenge]:
    """All challenges, in order; what cannot be understood ends its header."""
    found = []
    for text in headers:
        position = 0
        while scheme := _SCHEME.match(text, position):
            position = scheme.end()
            fields = {}
            while field := _FIELD.match(text, position):
                position = field.end()
                value = field[3] if field[2] is None else re.sub(r"\\(.)", r"\1", field[2])
                fields[field[1].lower()] = value
            found.append(Challenge(scheme[1].lower(), fields))
    return found


def choose(challenges: Sequence[Challenge]) -> Challenge | None:
    """Bearer before Basic; None where neither is offered."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme and (scheme == "basic" or "realm" in challenge.fields):
                return challenge
    return None
