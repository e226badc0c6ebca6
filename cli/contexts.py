"""The contexts a user keeps: named daemons, one JSON file each below the configuration folder.

<folder>/config.json        {"currentContext": "lab"}
<folder>/contexts/lab.json  {"Name": …, "Metadata": {"Description": …}, "Endpoints": {"docker": {"Host": …, "TLS": {…}}}}

The folder is --config, SHOAL_CONFIG, or ~/.shoal. "default" is no file: it stands for the environment and the local socket.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from cli.errors import CliError

DEFAULT = "default"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")


def folder() -> str:
    return os.environ.get("SHOAL_CONFIG") or os.path.expanduser("~/.shoal")


def check_name(name: str) -> None:
    if name == DEFAULT:
        raise CliError('"default" is a reserved context name')
    if not _NAME.fullmatch(name):
        raise CliError(
            f"context name {name!r} is invalid: letters, digits and _.+- after a letter or digit, two at least"
        )


def settings() -> dict[str, Any]:
    """The user's configuration, {} where there is none. Raises CliError where it is not JSON."""
    return _read(os.path.join(folder(), "config.json")) or {}


def current() -> str:
    return str(settings().get("currentContext") or DEFAULT)


def use(name: str) -> None:
    """Make `name` the context in use; "default" puts things back."""
    if name != DEFAULT:
        load(name)
    config = settings()
    config["currentContext"] = "" if name == DEFAULT else name
    _write(os.path.join(folder(), "config.json"), config)


def names() -> list[str]:
    """All contexts kept in files, sorted."""
    try:
        files = os.listdir(os.path.join(folder(), "contexts"))
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".json") for name in files if name.endswith(".json"))


def load(name: str) -> dict[str, Any]:
    """Raises CliError where there is no such context."""
    found = _read(_path(name)) if _NAME.fullmatch(name) else None
    if found is None:
        raise CliError(f'context "{name}" does not exist: `shoal context ls` shows those that do')
    return found


def save(context: dict[str, Any]) -> None:
    check_name(context["Name"])
    _write(_path(context["Name"]), context)


def remove(name: str) -> None:
    load(name)
    os.unlink(_path(name))


def _path(name: str) -> str:
    return os.path.join(folder(), "contexts", name + ".json")


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CliError(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict):
        raise CliError(f"cannot read {path}: a JSON object is needed")
    return found


def _write(path: str, content: dict[str, Any]) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".new", path)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror or error}") from None
