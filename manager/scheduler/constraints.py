"""Placement constraints: `node.labels.zone == eu*`-like expressions of Swarm, parsed and matched.

Keys: node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.<key>,
engine.labels.<key>. Values compare without regard to case, as SwarmKit's do.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import msgspec

from common.errors import InvalidArgument
from common.model import Node, TaskSpec
from common.model.shared import Platform

_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE)
_FIXED = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch")
_LABELS = ("node.labels.", "engine.labels.")
_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i386": "386", "i686": "386"}


class Constraint(msgspec.Struct, frozen=True):
    key: str
    equal: bool
    value: str

    def allows(self, node: Node) -> bool:
        return self._matches(node) is self.equal

    def _matches(self, node: Node) -> bool:
        if self.key == "node.ip":
            return _in_network(node.status.addr, self.value)
        if self.key == "node.platform.arch":
            return architecture(node.description.platform.architecture) == architecture(self.value)
        found = _value(self.key, node)
        return found is not None and found.lower() == self.value.lower()


@lru_cache(maxsize=4096)
def parse(text: str) -> Constraint:
    """Raises InvalidArgument where `text` is no constraint."""
    for operator in ("==", "!="):
        key, found, value = (part.strip() for part in text.partition(operator))
        if found:
            return _checked(text, Constraint(key, operator == "==", value))
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


def _checked(text: str, constraint: Constraint) -> Constraint:
    key = constraint.key.lower()
    known = key in _FIXED or any(key.startswith(prefix) and key != prefix for prefix in _LABELS)
    if not _KEY.fullmatch(constraint.key) or not known:
        raise InvalidArgument(
            f"invalid placement constraint {text!r}: key '{constraint.key}' is invalid,"
            f" use {', '.join(_FIXED)}, node.labels.<key> or engine.labels.<key>"
        )
    if not _VALUE.fullmatch(constraint.value):
        raise InvalidArgument(f"invalid placement constraint {text!r}: value '{constraint.value}' is invalid")
    label = any(key.startswith(prefix) for prefix in _LABELS)
    return constraint if label else msgspec.structs.replace(constraint, key=key)


def _value(key: str, node: Node) -> str | None:
    match key:
        case "node.id":
            return node.id
        case "node.hostname":
            return node.description.hostname
        case "node.role":
            return node.spec.role
        case "node.platform.os":
            return node.description.platform.os
    group, _, label = key.partition(".labels.")
    labels = node.spec.labels if group.lower() == "node" else node.description.engine.labels
    return labels.get(label)


def _in_network(address: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False
