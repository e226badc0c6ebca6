"""KEY=VALUE settings: on the command line, and in files of environment variables and labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping


def parse_pair(text: str) -> tuple[str, str]:
    """ "a=b" → ("a", "b"); both sides are needed."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"invalid argument {text!r}: write key=value")
    return key, value


def parse_label(text: str) -> tuple[str, str]:
    """A label may lack its value."""
    key, _, value = text.partition("=")
    if not key:
        raise ValueError(f"invalid label {text!r}: write key=value")
    return key, value


def read_lines(path: str) -> list[str]:
    """Lines of a settings file, without empty ones and #-comments."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.rstrip("\n").rstrip("\r").lstrip() for line in file]
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: it is not UTF-8 ({error.reason})") from None
    return [line for line in lines if line and not line.startswith("#")]


def environment(files: Iterable[str], given: Iterable[str], env: Mapping[str, str] = os.environ) -> list[str]:
    """The list for the API: files first, then options; a bare NAME takes its value from `env`, or is left out."""
    settings = [_checked(line, path) for path in files for line in read_lines(path)]
    settings += [_checked(text, "") for text in given]
    result = []
    for setting in settings:
        name, equals, _ = setting.partition("=")
        if equals:
            result.append(setting)
        elif name in env:
            result.append(f"{name}={env[name]}")
    return result


def labels(files: Iterable[str], given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Labels of files and options; options win."""
    return dict([*(parse_label(line) for path in files for line in read_lines(path)), *given])


def _checked(setting: str, path: str) -> str:
    name = setting.partition("=")[0]
    where = f" in {path}" if path else ""
    if not name:
        raise ValueError(f"invalid environment variable {setting!r}{where}: it has no name")
    if any(c.isspace() for c in name):
        raise ValueError(f"invalid environment variable {setting!r}{where}: its name holds white space")
    return setting
