"""Reading compose files: YAML, several of them merged, variables replaced, keys checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cli.compose.interpolate import interpolate
from cli.errors import CliError

SECTIONS = ("services", "networks", "volumes", "secrets", "configs")
_TOP = {*SECTIONS, "version", "name"}


class Compose:
    """A stack as written: the sections by name, each object a map; `folder` is what relative paths start from."""

    def __init__(self, sections: dict[str, dict[str, dict[str, Any]]], folder: str) -> None:
        self.sections = sections
        self.folder = folder

    def __getitem__(self, section: str) -> dict[str, dict[str, Any]]:
        return self.sections[section]


def load(paths: Sequence[str], env: Mapping[str, str] = os.environ, *, variables: bool = True) -> Compose:
    """Read and merge the files; a later one wins. Raises CliError."""
    merged: dict[str, Any] = {}
    for path in paths:
        content = _read(path)
        merged = merge(merged, interpolate(content, env) if variables else content)
    check_keys(merged, _TOP, "the compose file")
    sections = {name: _section(merged.get(name), name) for name in SECTIONS}
    if not sections["services"]:
        raise CliError("the compose file has no services")
    folder = os.getcwd() if paths[0] == "-" else os.path.dirname(os.path.abspath(paths[0]))
    return Compose(sections, folder)


def _read(path: str) -> dict[str, Any]:
    import yaml

    try:
        if path == "-":
            content = yaml.safe_load(sys.stdin)
        else:
            with open(path, encoding="utf-8") as file:
                content = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {path}: {error}") from None
    except yaml.YAMLError as error:
        raise CliError(f"{path} is no valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise CliError(f"{path}: a map with `services` is needed")
    return {key: value for key, value in content.items() if not str(key).startswith("x-")}


def _section(value: Any, name: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value or {}, dict):
        raise CliError(f"{name}: a map of names is needed")
    for key, entry in (value or {}).items():
        if not isinstance(entry or {}, dict):
            raise CliError(f"{name}.{key}: a map is needed")
    return {str(key): entry or {} for key, entry in (value or {}).items()}


def merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Maps are merged, lists are joined without doubles, other values replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merge(old, value)
        elif isinstance(old, list) and isinstance(value, list) and key not in ("command", "entrypoint", "test"):
            result[key] = old + [item for item in value if item not in old]
        else:
            result[key] = value
    return result


def check_keys(value: Any, known: Collection[str], where: str) -> dict[str, Any]:
    """`value` as a map of known keys; null is {}. Raises CliError for any other."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CliError(f"{where}: a map is needed")
    unknown = [str(key) for key in value if key not in known and not str(key).startswith("x-")]
    if unknown:
        raise CliError(f"{where}: unsupported key {unknown[0]!r}. Known are {', '.join(sorted(known))}")
    return value
