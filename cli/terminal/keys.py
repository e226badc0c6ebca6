"""The key sequence that detaches from a container, and noticing that it was typed."""

from __future__ import annotations

DEFAULT_KEYS = "ctrl-p,ctrl-q"


def parse_keys(text: str) -> bytes:
    """ "ctrl-p,ctrl-q" → b"\\x10\\x11": letters, or ctrl- and one of a-z @ [ \\ ] ^ _. Raises ValueError."""
    return bytes(_key(part, text) for part in text.split(","))


def _key(part: str, text: str) -> int:
    control = part.lower().removeprefix("ctrl-")
    if len(part) == 1 and part.isascii():
        return ord(part)
    if part.lower().startswith("ctrl-") and len(control) == 1 and control in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
        return ord(control.upper()) - 64
    raise ValueError(
        f"invalid detach keys {text!r}: write letters or ctrl-LETTER with commas between, as ctrl-p,ctrl-q"
    )


class Watch:
    """Remembers the end of what was typed. The daemon acts on the keys; this only tells why the stream ended."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._tail = b""

    def typed(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-len(self._keys) :]

    @property
    def matched(self) -> bool:
        return self._tail == self._keys
