"""Platforms ("linux/arm64/v8") as images name them and users ask for them: parsed, completed, and chosen from an index."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from common.errors import InvalidArgument, NotFound

_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "armv7l": "arm",
    "armv6l": "arm", "i386": "386", "i686": "386", "loongarch64": "loong64",
}  # fmt: skip
_VARIANTS = {"arm64": "v8", "arm": "v7"}
_ACCEPTED = {"arm": ("v8", "v7", "v6", "v5")}  # which variants a machine of one runs, best first


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """As an index's entry has it; empty texts where it says nothing."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def parse(text: str) -> Platform:
    """What a user asks for: os, architecture or os/architecture[/variant]. Raises InvalidArgument."""
    parts = text.lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(part.replace("-", "").replace("_", "").isalnum() for part in parts):
        raise InvalidArgument(f"invalid platform {text!r}: it looks like linux/amd64 or linux/arm/v7")
    if len(parts) == 1:
        parts = [parts[0], _machine()] if parts[0] in ("linux", "windows", "darwin") else ["linux", parts[0]]
    architecture = _ARCHITECTURES.get(parts[1], parts[1])
    return Platform(os=parts[0], architecture=architecture, variant=parts[2] if len(parts) == 3 else "")


def own() -> Platform:
    return Platform(os="linux", architecture=_machine())


def choose(wanted: Platform, offered: Sequence[Platform]) -> int:
    """The number of the best offer. Raises NotFound with Docker's sentence."""
    ranks = [rank(wanted, offer) for offer in offered]
    best = min((found for found in ranks if found is not None), default=None)
    if best is None:
        there = ", ".join(sorted({str(offer) for offer in offered if offer.architecture not in ("", "unknown")}))
        raise NotFound(
            f"no matching manifest for {wanted} in the manifest list entries: no match for platform in manifest: "
            f"not found; it has {there or 'none'}"
        )
    return ranks.index(best)


def rank(wanted: Platform, offer: Platform) -> int | None:
    """0 the best; None where it does not fit."""
    if (offer.os or "linux") != wanted.os or offer.architecture != wanted.architecture:
        return None
    default = _VARIANTS.get(wanted.architecture, "")
    asked, found = wanted.variant or default, offer.variant or default
    if wanted.architecture != "arm":
        return 0 if asked == found else None if wanted.variant else 1
    order = _ACCEPTED["arm"]
    if asked not in order or found not in order or order.index(found) < order.index(asked):
        return None
    return order.index(found) - order.index(asked)


def _machine() -> str:
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)
