"""The OCI process of an exec: the container's own process, with what the exec asks for in place of its parts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.errors import InvalidArgument
from common.model.base import EngineSpec
from worker.engine.container import Container
from worker.runtime import capabilities, users


class ExecWish(EngineSpec, frozen=True, kw_only=True):
    """The body of POST /containers/{id}/exec."""

    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    console_size: list[int] | None = None  # height, width
    detach_keys: str = ""
    tty: bool = False
    env: list[str] = []
    cmd: list[str] = []
    privileged: bool = False
    user: str = ""
    working_dir: str = ""
    detach: bool = False  # some clients send it here as well; it is start's to decide
    container: str = ""  # and this, which the path has named


def process(container: Container, wish: ExecWish) -> dict[str, Any]:
    """OCI's process object for `wish` in the running container. Raises InvalidArgument for an unknown user."""
    own = json.loads((container.bundle / "config.json").read_bytes())["process"]
    identity = _identity(container, wish)
    result = {field: own[field] for field in own if field not in ("consoleSize", "args")}
    result |= {"args": wish.cmd, "terminal": wish.tty, "cwd": _folder(wish.working_dir) or own["cwd"]}
    result["env"] = _environment(container, own["env"], wish, identity)
    if identity is not None:
        additional = {"additionalGids": identity.additional}
        result["user"] = own["user"] | {"uid": identity.uid, "gid": identity.gid} | additional
    if wish.privileged:
        result["capabilities"] = _all_capabilities()
        result.pop("apparmorProfile", None)
    if wish.tty and wish.console_size and any(wish.console_size):
        result["consoleSize"] = dict(zip(("height", "width"), wish.console_size, strict=True))
    return result


def _identity(container: Container, wish: ExecWish) -> users.Identity | None:
    """None where the exec runs as the container's own user."""
    if not wish.user:
        return None
    return users.lookup(Path(f"/proc/{container.pid}/root"), wish.user, container.host.group_add or ())


def _folder(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidArgument(f"the working directory {path!r} is invalid, it needs to be an absolute path")
    return path


def _environment(
    container: Container, own: Iterable[str], wish: ExecWish, identity: users.Identity | None
) -> list[str]:
    """The container's variables; HOME is the exec's user's unless the user set it, TERM comes with a terminal."""
    given = {entry.partition("=")[0] for entry in container.config.env}
    variables = dict(_pairs(own))
    if identity is not None and "HOME" not in given:
        variables["HOME"] = identity.home
    if "TERM" not in given:
        variables.pop("TERM", None)
        if wish.tty:
            variables["TERM"] = "xterm"
    variables |= dict(_pairs(wish.env))
    return [f"{name}={value}" for name, value in variables.items()]


def _pairs(entries: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (entry.partition("=") for entry in entries)]


def _all_capabilities() -> dict[str, list[str]]:
    return dict.fromkeys(("bounding", "effective", "permitted"), capabilities.resolve(None, None, True))
