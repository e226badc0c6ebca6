"""Variables in compose files: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME:+other}, $$."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cli.errors import CliError

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<op>:?[-?+])(?P<text>[^}]*))?\}|(?P<bad>))"
)


def interpolate(value: Any, env: Mapping[str, str], path: str = "") -> Any:
    """`value` with the variables in all its texts replaced. Raises CliError naming the place."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _replace(match, env, path), value)
    if isinstance(value, dict):
        return {key: interpolate(item, env, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, env, f"{path}[{number}]") for number, item in enumerate(value)]
    return value


def _replace(match: re.Match[str], env: Mapping[str, str], path: str) -> str:
    if match["escaped"]:
        return "$"
    name = match["plain"] or match["name"]
    if not name:
        raise CliError(f"invalid interpolation in {path}: write $NAME, ${{NAME}} or $$ for a dollar sign")
    operator, text = match["op"] or "", match["text"] or ""
    found = env.get(name)
    given = bool(found) if operator.startswith(":") else found is not None
    if operator.endswith("-"):
        return found or "" if given else text
    if operator.endswith("+"):
        return text if given else ""
    if operator.endswith("?") and not given:
        raise CliError(f"required variable {name} is missing a value: {text or 'set it'} (in {path})")
    return found or ""
