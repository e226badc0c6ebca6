"""Parsing at the edge: JSON of a request → typed Structs, with Go's leniency and Shoal's strictness.

As Docker's own decoder: a null field means its default, field names match without regard to case. Beyond it: an unknown
field is refused with its path, and so is a wrong type.
"""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from common.errors import InvalidArgument

T = TypeVar("T")


def parse_json(data: bytes | str, kind: type[T]) -> T:
    """Decode a request body into `kind`. Raises InvalidArgument naming the field, as in `HostConfig.Memory`."""
    try:
        raw = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"invalid JSON in the request's body: {error}") from None
    return parse_object(raw, kind)


def parse_object(raw: Any, kind: type[T]) -> T:
    """The same for a value that is already decoded."""
    try:
        return msgspec.convert(_shape(raw, kind, ""), kind)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid request: {error}") from None


@cache
def _fields(kind: type) -> dict[str, tuple[str, Any]]:
    """Lower-case name → (exact name, type) of a Struct's fields."""
    hints = get_type_hints(kind)
    return {f.encode_name.lower(): (f.encode_name, hints[f.name]) for f in msgspec.structs.fields(kind)}


def _shape(raw: Any, kind: Any, path: str) -> Any:
    """Rename keys to their exact spelling, drop nulls, refuse unknown fields; all else is msgspec's to judge."""
    if isinstance(raw, dict):
        return _shape_dict(raw, kind, path)
    if isinstance(raw, list):
        item = next((get_args(k)[0] for k in _options(kind) if get_origin(k) is list), Any)
        return [_shape(value, item, f"{path}[{number}]") for number, value in enumerate(raw)]
    return raw


def _shape_dict(raw: dict[str, Any], kind: Any, path: str) -> dict[str, Any]:
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return _shape_struct(raw, option, path)
        if get_origin(option) is dict:
            value_type = get_args(option)[1]
            nullable = NoneType in _options(value_type)
            return {
                key: _shape(value, value_type, f"{path}[{key!r}]")
                for key, value in (
                    (k, {} if v is None and not nullable and _is_map(value_type) else v) for k, v in raw.items()
                )
            }
    return raw


def _shape_struct(raw: dict[str, Any], kind: type, path: str) -> dict[str, Any]:
    fields = _fields(kind)
    shaped = {}
    for key, value in raw.items():
        known = fields.get(key.lower())
        if known is None:
            raise InvalidArgument(f"unknown field {_join(path, key)!r} in the request's body")
        if value is not None:
            shaped[known[0]] = _shape(value, known[1], _join(path, key))
    return shaped


def _is_map(kind: Any) -> bool:
    return any(get_origin(option) is dict for option in _options(kind))


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
