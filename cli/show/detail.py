"""Printing single objects: JSON as `inspect` shows it, or what a template picks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from cli.errors import ApiError, CliError


def print_objects(names: Iterable[str], fetch: Callable[[str], Any], form: str = "") -> None:
    """Fetch and print each; those that fail are named on stderr at the end and make the exit code 1."""
    found, errors = [], []
    for name in names:
        try:
            found.append(fetch(name))
        except ApiError as error:
            errors.append(error.message)
    _print_all(found, form)
    _report(errors)


def print_object(value: Any, form: str) -> None:
    """Print one object by a template, or as JSON on one line for "json"."""
    print(render(value, form))


def render(value: Any, form: str) -> str:
    if form == "json":
        return json.dumps(value, ensure_ascii=False)
    from cli.template import Template

    return Template(form.replace("\\t", "\t").replace("\\n", "\n")).render(value)


def _print_all(found: list[Any], form: str) -> None:
    if not form:
        print(json.dumps(found, indent=4, ensure_ascii=False))
    for value in found if form else ():
        print_object(value, form)


def each(names: Iterable[str], action: Callable[[str], Any], say: Callable[[str], str] | None = str) -> None:
    """Do `action` for each name and print what `say` makes of it; failures do not stop the others, and make the exit code 1."""
    errors = []
    for name in names:
        try:
            action(name)
        except ApiError as error:
            errors.append(error.message)
            continue
        if say is not None:
            print(say(name))
    _report(errors)


def each_unless_missing(names: Iterable[str], remove: Callable[[str], Any], force: bool) -> None:
    """Remove each and print its name; with `force` one that does not exist is only mentioned."""

    def removed(name: str) -> None:
        try:
            remove(name)
        except ApiError as error:
            if not force or error.status != 404:
                raise
            print(error.message, file=sys.stderr)
        else:
            print(name)

    each(names, removed, None)


def _report(errors: list[str]) -> None:
    if errors:
        sys.stdout.flush()
        raise CliError("\n".join(errors))
