"""The `filters` query parameter of list endpoints: a JSON map of name → values.

Docker sends both {"label": ["a", "b"]} and the older {"label": {"a": true}}. A filter that an endpoint does not
know is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

from common.errors import InvalidArgument


class Filters:
    """Parsed filters: `values("status")` → the values given, empty where the filter was not given."""

    def __init__(self, values: Mapping[str, Collection[str]] | None = None) -> None:
        self._values = {name: tuple(given) for name, given in (values or {}).items()}

    @classmethod
    def parse(cls, text: str | None, known: Collection[str]) -> Filters:
        """Parse the query parameter; raise InvalidArgument on bad JSON or a filter that is not in `known`."""
        if not text:
            return cls()
        try:
            raw = msgspec.json.decode(text, type=dict[str, list[str] | dict[str, bool]])
        except msgspec.MsgspecError as error:
            raise InvalidArgument(f"invalid filters {text!r}: {error}") from None
        for name in raw:
            if name not in known:
                raise InvalidArgument(f"invalid filter {name!r}: known are {', '.join(sorted(known))}")
        return cls({n: v if isinstance(v, list) else [key for key, on in v.items() if on] for n, v in raw.items()})

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def values(self, name: str) -> tuple[str, ...]:
        return self._values.get(name, ())

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        """A boolean filter ("dangling"): its value, or `default` where it was not given."""
        given = self.values(name)
        if not given:
            return default
        text = given[0].lower()
        if text in ("1", "t", "true"):
            return True
        if text in ("0", "f", "false"):
            return False
        raise InvalidArgument(f"invalid value {given[0]!r} of filter {name!r}: use true or false")

    def exact(self, name: str, value: str) -> bool:
        """True where the filter is absent or one of its values equals `value`."""
        given = self.values(name)
        return not given or value in given

    def prefix(self, name: str, value: str) -> bool:
        """True where the filter is absent or `value` starts with one of its values (ids)."""
        given = self.values(name)
        return not given or any(value.startswith(text) for text in given)

    def match(self, name: str, *candidates: str) -> bool:
        """True where the filter is absent or one of its values, as a regular expression, is found in a candidate (names)."""
        given = self.values(name)
        return not given or any(_search(pattern, text) for pattern in given for text in candidates)

    def labels(self, labels: Mapping[str, str], name: str = "label") -> bool:
        """True where `labels` has every "key" or "key=value" of the filter; `label!` asks for the opposite."""
        return all(has_label(labels, text) for text in self.values(name)) and not any(
            has_label(labels, text) for text in self.values(name + "!")
        )


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _search(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text
