"""Comma-separated settings, as --mount and --secret take them: "type=bind,source=/a,readonly"."""

from __future__ import annotations

from collections.abc import Iterable


def parse_fields(text: str, known: Iterable[str] = ()) -> list[tuple[str, str | None]]:
    """(name in lower case, value or None) in order. Quotes keep commas. Raises ValueError for what is not in `known`."""
    import csv

    try:
        cells = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"invalid argument {text!r}: {error}") from None
    fields = []
    for cell in cells:
        name, equals, value = cell.partition("=")
        name = name.strip().lower()
        if known and name not in known:
            raise ValueError(f"invalid field {name!r} in {text!r}: known are {', '.join(known)}")
        fields.append((name, value if equals else None))
    if not fields:
        raise ValueError("invalid argument: the value is empty")
    return fields


def boolean(name: str, value: str | None) -> bool:
    """The value of a switch inside such settings: a bare name is true."""
    words = {"1": True, "true": True, "0": False, "false": False}
    found = True if value is None else words.get(value.lower())
    if found is None:
        raise ValueError(f"invalid value {value!r} of {name}: true or false is needed")
    return found


def number(name: str, value: str | None, base: int = 10) -> int:
    try:
        return int(value or "", base)
    except ValueError:
        raise ValueError(f"invalid value {value!r} of {name}: a whole number is needed") from None
