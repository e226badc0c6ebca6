"""Request targets: paths with quoted names, query strings as the Engine API reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.errors import CliError

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")


def quote(text: str, safe: bytes = b"") -> str:
    """Percent-encode everything but unreserved characters and those in `safe`."""
    return "".join(chr(b) if b in _PLAIN or b in safe else f"%{b:02X}" for b in text.encode())


def item(kind: str, name: str, action: str = "") -> str:
    """The path of one object: item("containers", "web", "json") → "/containers/web/json"."""
    return _path(kind, name, action, b":")


def image(name: str, action: str = "") -> str:
    """The path of one image; its name may hold slashes."""
    return _path("images", name, action, b"/:@")


def target(path: str, query: Mapping[str, Any]) -> str:
    """Join path and query: None is left out, booleans become 1 and 0, maps JSON, lists repeat their name."""
    pairs = [
        f"{quote(name)}={quote(_text(value))}"
        for name, given in query.items()
        for value in (given if isinstance(given, (list, tuple)) else (given,))
        if value is not None
    ]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def _path(kind: str, name: str, action: str, safe: bytes) -> str:
    if not name.strip():
        raise CliError(f"invalid name: an empty text names none of the {kind}")
    path = f"/{kind}/{quote(name, safe)}"
    return f"{path}/{action}" if action else path


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Mapping):
        import json

        return json.dumps(value)
    return str(value)
