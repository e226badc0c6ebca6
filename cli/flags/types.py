"""Types of option values, each over a pure parser that raises ValueError with the sentence for the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cli.parse import pairs, times, units


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """A value read by `parse`; `name` is what the help calls it."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


BYTES = Parsed("bytes", units.parse_bytes)
DURATION = Parsed("duration", units.parse_duration)
NANO_CPUS = Parsed("decimal", units.parse_cpus)
UINT = Parsed("uint", units.parse_uint)
PAIR = Parsed("key=value", pairs.parse_pair)
LABEL = Parsed("label", pairs.parse_label)
MOMENT = Parsed("timestamp", times.parse_moment)
