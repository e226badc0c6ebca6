"""Devices of a container: nodes to make in its /dev and the rules of its control group."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import InvalidArgument
from common.model.container import DeviceMapping, HostConfig

_ALWAYS = (  # null, zero, full, random, urandom, tty, console, ptmx, pts/*
    ("c", 1, 3), ("c", 1, 5), ("c", 1, 7), ("c", 1, 8), ("c", 1, 9), ("c", 5, 0), ("c", 5, 1), ("c", 5, 2), ("c", 136, None),
)  # fmt: skip
_RULE = re.compile(r"([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})")
_SKIPPED = (
    "pts",
    "shm",
    "fd",
    "mqueue",
    ".lxc",
    ".lxd-mounts",
    ".udev",
)  # folders of /dev that a container has of its own


def check_devices(host: HostConfig) -> None:
    """Raises InvalidArgument for rules and permissions that make no sense."""
    for rule in host.device_cgroup_rules:
        if not _RULE.fullmatch(rule):
            raise InvalidArgument(f"invalid device cgroup rule format: '{rule}'")
    for device in host.devices:
        if not device.path_on_host.startswith("/"):
            raise InvalidArgument(f"invalid device: {device.path_on_host!r} is not an absolute path")
        permissions = device.cgroup_permissions
        if not permissions or set(permissions) - set("rwm") or len(set(permissions)) != len(permissions):
            raise InvalidArgument(f"invalid device mode: {device.cgroup_permissions}")
        if device.path_in_container and not device.path_in_container.startswith("/"):
            raise InvalidArgument(f"invalid device: {device.path_in_container!r} is not an absolute path")


def oci_devices(host: HostConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(linux.devices, linux.resources.devices). Raises InvalidArgument where a device is not there."""
    if host.privileged:
        nodes = [_node(path, path) for path in _all_devices()]
        return nodes, [{"allow": True, "access": "rwm"}]
    nodes, rules = [], _default_rules()
    for mapping in host.devices:
        for path, inside in _expand(mapping):
            node = _node(path, inside)
            nodes.append(node)
            rules.append(_rule(node["type"], node["major"], node["minor"], mapping.cgroup_permissions))
    return nodes, rules + [_parse_rule(text) for text in host.device_cgroup_rules]


def _default_rules() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": kind, "access": "m"} for kind in ("c", "b")]
    return rules + [_rule(kind, major, minor, "rwm") for kind, major, minor in _ALWAYS]


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule = {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
    return {name: value for name, value in rule.items() if value is not None}


def _parse_rule(text: str) -> dict[str, Any]:
    found = _RULE.fullmatch(text)
    assert found is not None  # check_devices() came before
    kind, major, minor, access = found.groups()
    return _rule(kind, None if major == "*" else int(major), None if minor == "*" else int(minor), access)


def _expand(mapping: DeviceMapping) -> Iterator[tuple[str, str]]:
    """(host path, path inside) of a device, or of all devices in a folder."""
    inside = mapping.path_in_container or mapping.path_on_host
    path = os.path.realpath(mapping.path_on_host)
    if not os.path.isdir(path):
        yield path, inside
        return
    for folder, _, names in os.walk(path):
        for name in sorted(names):
            full = os.path.join(folder, name)
            if _is_device(full):
                yield full, inside + full.removeprefix(path)


def _all_devices() -> Iterator[str]:
    for folder, folders, names in os.walk("/dev"):
        if folder == "/dev":
            folders[:] = [name for name in folders if name not in _SKIPPED]
        for name in names:
            path = os.path.join(folder, name)
            if path != "/dev/console" and not os.path.islink(path) and _is_device(path):
                yield path


def _is_device(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _node(path: str, inside: str) -> dict[str, Any]:
    try:
        status = os.stat(path)
    except OSError:
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{path}": no such file or directory',
            ("device", path),
        ) from None
    if not _is_device(path):
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{path}": not a device node',
            ("device", path),
        )
    return {
        "path": str(Path(inside)),
        "type": "b" if stat.S_ISBLK(status.st_mode) else "c",
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
