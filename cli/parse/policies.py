"""Restart policies, security options, and the health check's command."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

RESTARTS = ("no", "always", "unless-stopped", "on-failure")


def parse_restart(text: str) -> dict[str, Any]:
    """ "on-failure:3" → the API's RestartPolicy."""
    name, colon, count = text.partition(":")
    if name not in RESTARTS:
        raise ValueError(f"invalid restart policy {text!r}: known are {', '.join(RESTARTS)}")
    if not colon:
        return {"Name": name}
    if not count.isdigit() or name != "on-failure":
        raise ValueError(f"invalid restart policy {text!r}: only on-failure takes a count, as on-failure:3")
    return {"Name": name, "MaximumRetryCount": int(count)}


def security(options: Iterable[str]) -> dict[str, Any]:
    """--security-opt as HostConfig has it: seccomp profiles read from their files, systempaths made explicit."""
    result: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        if not value and name != "no-new-privileges":
            name, _, value = option.partition(":")
        if option == "systempaths=unconfined":
            result.update(MaskedPaths=[], ReadonlyPaths=[])
            continue
        if name == "seccomp" and value not in ("unconfined", "builtin", ""):
            option = f"seccomp={_profile(value)}"
        result.setdefault("SecurityOpt", []).append(option)
    return result


def _profile(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as error:
        raise ValueError(f"cannot read the seccomp profile {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"the seccomp profile {path} is not JSON: {error}") from None


def health_test(command: str | None, none: bool) -> list[str] | None:
    """Healthcheck.Test: None where neither was given."""
    if none:
        return ["NONE"]
    if command is None:
        return None
    return ["CMD-SHELL", command] if command else []
