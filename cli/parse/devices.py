"""Devices, their rates and weights, GPUs, and ulimits."""

from __future__ import annotations

from typing import Any

from cli.parse.fields import parse_fields
from cli.parse.units import parse_bytes, parse_uint


def parse_device(text: str) -> dict[str, str]:
    """ "/dev/a[:/dev/b][:rwm]" → the API's DeviceMapping."""
    parts = text.split(":")
    path, target, rights = parts[0], "", "rwm"
    for part in parts[1:]:
        if part.startswith("/") and not target:
            target = part
        elif part and not set(part) - set("rwm"):
            rights = part
        else:
            raise ValueError(f"invalid device {text!r}: write PATH[:PATH IN CONTAINER][:rwm]")
    if not path.startswith("/") or len(parts) > 3:
        raise ValueError(f"invalid device {text!r}: write PATH[:PATH IN CONTAINER][:rwm]")
    return {"PathOnHost": path, "PathInContainer": target or path, "CgroupPermissions": rights}


def parse_weight(text: str) -> dict[str, Any]:
    path, value = _path_and_value(text, "WEIGHT")
    return {"Path": path, "Weight": parse_uint(value)}


def parse_rate(text: str) -> dict[str, Any]:
    """ "/dev/sda:1mb" → bytes per second."""
    path, value = _path_and_value(text, "BYTES")
    return {"Path": path, "Rate": parse_bytes(value)}


def parse_operations(text: str) -> dict[str, Any]:
    path, value = _path_and_value(text, "COUNT")
    return {"Path": path, "Rate": parse_uint(value)}


def parse_gpus(text: str) -> list[dict[str, Any]]:
    """ "all", a count, or "device=0,capabilities=utility"."""
    request: dict[str, Any] = {"Count": 0, "Capabilities": [["gpu"]]}
    if text == "all" or text.isdigit():
        request["Count"] = -1 if text == "all" else int(text)
        return [request]
    for name, value in parse_fields(text, ("device", "count", "driver", "capabilities")):
        given = value or ""
        if name == "device":
            request["DeviceIDs"] = given.split(",")
        elif name == "count":
            request["Count"] = -1 if given == "all" else parse_uint(given)
        elif name == "driver":
            request["Driver"] = given
        else:
            request["Capabilities"] = [["gpu", *given.split(",")]]
    return [request]


def parse_ulimit(text: str) -> dict[str, Any]:
    """ "nofile=1024:2048" → the API's Ulimit; a single number is both limits."""
    name, equals, limits = text.partition("=")
    soft, colon, hard = limits.partition(":")
    try:
        low, high = int(soft), int(hard if colon else soft)
    except ValueError:
        raise ValueError(f"invalid ulimit {text!r}: write NAME=SOFT[:HARD]") from None
    if not name or not equals:
        raise ValueError(f"invalid ulimit {text!r}: write NAME=SOFT[:HARD]")
    if high != -1 and (low > high or low == -1):
        raise ValueError(f"invalid ulimit {text!r}: the soft limit is above the hard limit")
    return {"Name": name, "Soft": low, "Hard": high}


def _path_and_value(text: str, what: str) -> tuple[str, str]:
    path, colon, value = text.rpartition(":")
    if not colon or not path.startswith("/dev/"):
        raise ValueError(f"invalid argument {text!r}: write /dev/PATH:{what}")
    return path, value
