"""Values that compose files write in more than one way: lists or maps, texts or lists, numbers or texts."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, TypeVar

from cli.errors import CliError
from cli.parse.units import parse_bytes, parse_cpus, parse_duration

T = TypeVar("T")


def pairs(value: Any, where: str) -> dict[str, str | None]:
    """{a: 1} or ["a=1"] → {"a": "1"}; a name without a value is None."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(key): None if item is None else text(item) for key, item in value.items()}
    if not isinstance(value, list):
        raise CliError(f"{where}: a list or a map is needed")
    split = (str(item).partition("=") for item in value)
    return {key: found if equals else None for key, equals, found in split}


def labels(value: Any, where: str) -> dict[str, str]:
    return {key: found or "" for key, found in pairs(value, where).items()}


def text(value: Any) -> str:
    """A scalar as its writer meant it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def words(value: Any, where: str) -> list[str]:
    """A command: a list, or one text cut as a shell does."""
    if isinstance(value, list):
        return [text(item) for item in value]
    try:
        return shlex.split(str(value))
    except ValueError as error:
        raise CliError(f"{where}: {error}") from None


def texts(value: Any) -> list[str]:
    """One text or a list of them."""
    if value is None:
        return []
    return [text(item) for item in value] if isinstance(value, list) else [text(value)]


def read(parse: Callable[[str], T], value: Any, where: str) -> T:
    """A value by one of our parsers, its sentence with the place before it."""
    try:
        return parse(text(value))
    except ValueError as error:
        raise CliError(f"{where}: {error}") from None


def duration(value: Any, where: str) -> int:
    return read(parse_duration, value, where)


def size(value: Any, where: str) -> int:
    return read(parse_bytes, value, where)


def cpus(value: Any, where: str) -> int:
    return read(parse_cpus, value, where)
