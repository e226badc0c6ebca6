"""Detach keys: the sequence of key strokes that ends an attachment and leaves the process running."""

from __future__ import annotations

from common.errors import InvalidArgument

DEFAULT = "ctrl-p,ctrl-q"
_CONTROL = {chr(code + 96): code for code in range(1, 27)} | {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """The bytes of "ctrl-p,ctrl-q" or "a,b". Raises InvalidArgument with Docker's words."""
    keys = bytearray()
    for key in text.split(","):
        control = _CONTROL.get(key.lower().removeprefix("ctrl-")) if key.lower().startswith("ctrl-") else None
        if control is not None:
            keys.append(control)
        elif len(key) == 1 and key.isascii():
            keys += key.encode()
        else:
            raise InvalidArgument(f"Invalid detach keys ({text}) provided")
    return bytes(keys)


class DetachFilter:
    """Passes a terminal's input on until the sequence comes. A beginning of it is held back until it is decided."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what goes to the process, whether the sequence is complete)."""
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 0
            if byte == self._keys[0]:
                self._matched = 1
            else:
                passed.append(byte)
        return bytes(passed), False
