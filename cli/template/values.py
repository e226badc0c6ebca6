"""Values as Go sees them: looking up fields, truth, and printing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.template.errors import TemplateError


class Missing:
    """A field that is not there. It is false; printing it is an error for a field of an object (upper case, as Go's
    fields), and "<no value>" for a key of a map."""

    def __init__(self, name: str, known: Mapping[str, Any]) -> None:
        self.name = name
        self._known = known

    def error(self) -> TemplateError:
        return TemplateError(f'map has no entry for key "{self.name}". Known are: {", ".join(self._known)}')


def lookup(value: Any, name: str) -> Any:
    """The field `name` of a value. Raises TemplateError where the value has no fields at all."""
    if isinstance(value, Missing):
        raise value.error()
    if isinstance(value, Mapping):
        return value[name] if name in value else Missing(name, value)
    if value is None:
        raise TemplateError(f"nil pointer: there is nothing to take the field {name} of")
    raise TemplateError(f"can't evaluate field {name} in a {type_name(value)}")


def truth(value: Any) -> bool:
    return not isinstance(value, Missing) and bool(value)


def type_name(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "list"}
    return names.get(type(value), "map" if isinstance(value, Mapping) else type(value).__name__)


def show(value: Any, nested: bool = False) -> str:
    """The text of a value as Go's fmt prints it."""
    if isinstance(value, Missing):
        if value.name[:1].isupper():
            raise value.error()
        return "<no value>"
    if value is None:
        return "<nil>" if nested else "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{show(value[key], True)}' for key in sorted(value))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(show(item, True) for item in value)}]"
    return str(value)
