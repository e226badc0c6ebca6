"""The functions that a template can call: Go's own, and those that Docker adds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from cli.template.errors import TemplateError
from cli.template.values import Missing, lookup, show, truth, type_name


def _json(value: Any) -> str:
    if isinstance(value, Missing):
        raise value.error()
    plain = dict(value) if isinstance(value, Mapping) else value
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, (list, tuple, str)) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key} of {len(value)} elements")
            value = value[key]
        else:
            raise TemplateError(f"cannot index a {type_name(value)} by {key!r}")
    return value


def _length(value: Any) -> int:
    if isinstance(value, (Mapping, list, tuple, str)):
        return len(value)
    raise TemplateError(f"a {type_name(value)} has no length")


def _printf(form: str, *values: Any) -> str:
    given = list(values)

    def verb(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        if not given:
            raise TemplateError(f"printf: too few values for {form!r}")
        value = given.pop(0)
        kind = match[2] if match[2] in "dfeEgGxX" else "s"
        text = json.dumps(show(value)) if match[2] == "q" else value if kind != "s" else show(value)
        try:
            return f"%{match[1]}{kind}" % text
        except (TypeError, ValueError):
            raise TemplateError(f"printf: {match[0]} does not fit {value!r}") from None

    return re.sub(r"%([-+ 0#]*\d*(?:\.\d+)?)([a-zA-Z%])", verb, form)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("eq needs two values")
    return any(first == other for other in others)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(a: Any, b: Any) -> bool:
        try:
            return compare(a, b)
        except TypeError:
            raise TemplateError(f"cannot compare a {type_name(a)} with a {type_name(b)}") from None

    return check


def _and(first: Any, *others: Any) -> Any:
    return next((value for value in (first, *others) if not truth(value)), (first, *others)[-1])


def _or(first: Any, *others: Any) -> Any:
    return next((value for value in (first, *others) if truth(value)), (first, *others)[-1])


def _pad(text: Any, left: int, right: int) -> str:
    return " " * left + show(text) + " " * right if show(text) else ""


def _slice(value: Any, start: int = 0, end: int | None = None) -> Any:
    return value[start:end]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _and,
    "or": _or,
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": lambda a, b: a != b,
    "lt": _ordered(lambda a, b: a < b),
    "le": _ordered(lambda a, b: a <= b),
    "gt": _ordered(lambda a, b: a > b),
    "ge": _ordered(lambda a, b: a >= b),
    "index": _index,
    "len": _length,
    "slice": _slice,
    "print": lambda *values: "".join(show(value) for value in values),
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "printf": _printf,
    "json": _json,
    "join": lambda values, separator: separator.join(show(value) for value in values or ()),
    "split": lambda text, separator: text.split(separator),
    "lower": lambda text: show(text).lower(),
    "upper": lambda text: show(text).upper(),
    "title": lambda text: re.sub(r"\b\w", lambda m: m[0].upper(), show(text)),
    "trim": lambda text, marks=None: show(text).strip(marks),
    "pad": _pad,
    "truncate": lambda text, length: show(text)[:length],
}


def call(name: str, arguments: list[Any]) -> Any:
    """Call a function by its name. Raises TemplateError for an unknown one, or arguments that do not fit."""
    function = FUNCTIONS.get(name)
    if function is None:
        raise TemplateError(f'function "{name}" not defined. Known are: {", ".join(FUNCTIONS)}')
    try:
        return function(*arguments)
    except (TypeError, AttributeError, ValueError) as error:
        raise TemplateError(f"error calling {name}: {error}") from None


def method(owner: Any, name: str, arguments: list[Any]) -> Any:
    """`.Label "key"`: a field that is itself a function."""
    found = lookup(owner, name)
    if not callable(found):
        raise TemplateError(f"{name} is not a function but has arguments")
    return found(*arguments)
