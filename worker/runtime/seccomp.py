"""Seccomp profiles: Docker's format resolved to OCI's linux.seccomp, and Docker's default list (seccomp.json).

A profile's rules depend on the container's capabilities, the machine's architecture and kernel. Compiled filters are
seccomp_cache.py's.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from common.errors import InvalidArgument

_MACHINES = {  # uname -m → (name in includes and excludes, libseccomp's name)
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
}
_RULE_FIELDS = {"name", "names", "action", "args", "errnoRet", "comment", "includes", "excludes"}
_PROFILE_FIELDS = {"defaultAction", "defaultErrnoRet", "architectures", "archMap", "syscalls", "flags"}
_PROFILE_FIELDS |= {"listenerPath", "listenerMetadata"}


@cache
def default_profile() -> dict[str, Any]:
    """Docker's default: a list of allowed calls, all else gives EPERM."""
    value: dict[str, Any] = json.loads(Path(__file__).with_name("seccomp.json").read_bytes())
    return value


def parse_profile(text: str) -> dict[str, Any]:
    """A user's profile (JSON, as `--security-opt seccomp=FILE` sends it). Raises InvalidArgument."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidArgument(f"decoding the seccomp profile failed: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("defaultAction"), str):
        raise InvalidArgument("invalid seccomp profile: an object with a defaultAction is needed")
    if unknown := sorted(set(value) - _PROFILE_FIELDS):
        raise InvalidArgument(f"invalid seccomp profile: unknown field {unknown[0]!r}")
    if value.get("archMap") and value.get("architectures"):
        raise InvalidArgument("invalid seccomp profile: use either 'architectures' or 'archMap'")
    return value


def profile(
    capabilities: Collection[str],
    wanted: Mapping[str, Any] | Literal["unconfined"] | None,
    *,
    machine: str = "",
    kernel: str = "",
) -> dict[str, Any] | None:
    """OCI's linux.seccomp for a container with these capabilities.

    `wanted` is None for the default profile, "unconfined" for none at all (the answer is None), or a parsed profile.
    `machine` and `kernel` (uname -m, uname -r) default to this machine's. Raises InvalidArgument.
    """
    if wanted == "unconfined":
        return None
    source = default_profile() if wanted is None else wanted
    arch, seccomp_arch = _machine(machine or platform.machine())
    context = _Context(frozenset(capabilities), arch, _kernel(kernel or platform.release()))
    rules = [_rule(rule) for rule in source.get("syscalls") or () if context.applies(rule)]
    result = {
        "defaultAction": source["defaultAction"],
        "architectures": source.get("architectures") or _architectures(source, seccomp_arch),
        "syscalls": rules,
    }
    kept = {field: source[field] for field in ("defaultErrnoRet", "flags") if source.get(field) is not None}
    return result | kept


class _Context:
    """What a rule's conditions are held against."""

    def __init__(self, capabilities: frozenset[str], arch: str, kernel: tuple[int, int]) -> None:
        self._capabilities = capabilities
        self._arch = arch
        self._kernel = kernel

    def applies(self, rule: Mapping[str, Any]) -> bool:
        if unknown := sorted(set(rule) - _RULE_FIELDS):
            raise InvalidArgument(f"invalid seccomp profile: unknown field {unknown[0]!r} in a rule")
        include, exclude = rule.get("includes") or {}, rule.get("excludes") or {}
        if include.get("arches") and self._arch not in include["arches"]:
            return False
        if not self._capabilities.issuperset(include.get("caps") or ()):
            return False
        if include.get("minKernel") and self._kernel < _kernel(include["minKernel"]):
            return False
        if self._arch in (exclude.get("arches") or ()) or self._capabilities.intersection(exclude.get("caps") or ()):
            return False
        return not (exclude.get("minKernel") and self._kernel >= _kernel(exclude["minKernel"]))


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    names = rule.get("names") or ([rule["name"]] if rule.get("name") else [])
    if not names or "action" not in rule:
        raise InvalidArgument("invalid seccomp profile: each rule needs names and an action")
    result = {"names": list(names), "action": rule["action"]}
    return result | {field: rule[field] for field in ("args", "errnoRet") if rule.get(field) not in (None, [])}


def _architectures(source: Mapping[str, Any], own: str) -> list[str]:
    for entry in source.get("archMap") or ():
        if entry.get("architecture") == own:
            return [own, *(entry.get("subArchitectures") or ())]
    return [own]


def _machine(name: str) -> tuple[str, str]:
    try:
        return _MACHINES[name]
    except KeyError:
        raise InvalidArgument(
            f"no seccomp profile for machine {name!r}: use --security-opt seccomp=unconfined"
        ) from None


def _kernel(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    try:
        return int(major), int(minor)
    except ValueError:
        raise InvalidArgument(f"invalid kernel version {release!r} in a seccomp profile") from None
