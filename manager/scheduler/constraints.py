"""Placement constraints: `node.labels.zone == eu*`-like expressions of Swarm, parsed and matched.

Keys: node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.<key>,
engine.labels.<key>. Values compare without regard to case, as SwarmKit's do.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from common.errors import InvalidArgument
from common.model import Node, TaskSpec
from common.model.shared import Platform

_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE)
_FIXED = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch")
_LABELS = ("node.labels.", "engine.labels.")
_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i386": "386", "i686": "386"}
Read = Callable[[Node], str | None]


class Constraint:
    """`key` is one of those above, `equal` False for !=."""

    def __init__(self, key: str, equal: bool, value: str) -> None:
        self._equal = equal
        self._wanted = architecture(value) if key == "node.platform.arch" else value.lower()
        self._read = _networks(value.lower()) if key == "node.ip" else _READ.get(key) or _label(key)

    def allows(self, node: Node) -> bool:
        found = self._read(node)
        return (found is not None and found.lower() == self._wanted) is self._equal


@lru_cache(maxsize=4096)
def parse(text: str) -> Constraint:
    """Raises InvalidArgument where `text` is no constraint."""
    for operator in ("==", "!="):
        key, found, value = (part.strip() for part in text.partition(operator))
        if found:
            return Constraint(_checked(text, key, value), operator == "==", value)
    raise InvalidArgument(f"invalid placement constraint {text!r}: constraint expected one operator from ==, !=")


def node_allows(node: Node, spec: TaskSpec) -> bool:
    """Whether the constraints and platforms of `spec` admit the node."""
    placement = spec.placement
    if placement is None:
        return True
    return all(parse(text).allows(node) for text in placement.constraints) and fits_platform(node, placement.platforms)


def fits_platform(node: Node, platforms: list[Platform]) -> bool:
    """An empty os or architecture is any; so is an empty list."""
    if not platforms:
        return True
    own = node.description.platform
    return any(
        (not p.os or p.os.lower() == own.os.lower())
        and (not p.architecture or architecture(p.architecture) == architecture(own.architecture))
        for p in platforms
    )


def architecture(name: str) -> str:
    """Go's name of an architecture that the kernel or Go names."""
    return _ARCH.get(name.lower(), name.lower())


def _checked(text: str, given: str, value: str) -> str:
    """The key as it is looked up: only labels have a case of their own."""
    key = given.lower()
    label = any(key.startswith(prefix) and key != prefix for prefix in _LABELS)
    if not _KEY.fullmatch(given) or not (label or key in _FIXED):
        raise InvalidArgument(
            f"invalid placement constraint {text!r}: key '{given}' is invalid,"
            f" use {', '.join(_FIXED)}, node.labels.<key> or engine.labels.<key>"
        )
    if not _VALUE.fullmatch(value):
        raise InvalidArgument(f"invalid placement constraint {text!r}: value '{value}' is invalid")
    return given if label else key


_READ: dict[str, Read] = {
    "node.id": lambda node: node.id,
    "node.hostname": lambda node: node.description.hostname,
    "node.role": lambda node: node.spec.role,
    "node.platform.os": lambda node: node.description.platform.os,
    "node.platform.arch": lambda node: architecture(node.description.platform.architecture),
}


def _label(key: str) -> Read:
    group, _, label = key.split(".", 2)
    if group.lower() == "node":
        return lambda node: node.spec.labels.get(label)
    return lambda node: node.description.engine.labels.get(label)


def _networks(wanted: str) -> Read:
    return lambda node: wanted if _in_network(node.status.addr, wanted) else None


def _in_network(address: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False
