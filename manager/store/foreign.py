"""Fields that this version does not know, of objects that a newer manager wrote: kept through this version's own writes.

During an upgrade managers of two versions change the same objects. What an older one decodes lacks the newer one's fields; so
their bytes are kept beside it, and put back into what it writes. Most objects have none, and cost one comparison of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

Key = tuple[str, str]  # kind and id
_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode


class Foreign:
    """For each object with fields beyond this version: what was received, as plain maps and lists."""

    def __init__(self) -> None:
        self._received: dict[Key, tuple[Any, Any]] = {}  # all of it, and the part that this version knows

    def note(self, key: Key, received: bytes, object: msgspec.Struct | None) -> None:
        """`object` is what this version makes of the bytes; None where the object is gone."""
        self._received.pop(key, None)
        if object is None:
            return
        known = _encode(object)
        if known != received:
            everything, part = _decode(received), _decode(known)
            if _exceeds(everything, part):
                self._received[key] = everything, part

    def encode(self, key: Key, object: msgspec.Struct) -> bytes:
        """The object with the fields that it came with, as far as what they were part of is there still."""
        data = _encode(object)
        if (found := self._received.get(key)) is None:
            return data
        return _encode(_merged(_decode(data), *found))

    def copy(self) -> Foreign:
        """As it is now, for a snapshot that is encoded in another thread."""
        copied = Foreign()
        copied._received = dict(self._received)
        return copied


def _exceeds(everything: Any, part: Any) -> bool:
    """Whether there is something in `everything` that its known part has not; a default that was written out is no news."""
    if isinstance(everything, dict) and isinstance(part, dict):
        return any((value and key not in part) or _exceeds(value, part.get(key)) for key, value in everything.items())
    if isinstance(everything, list) and isinstance(part, list):
        return any(_exceeds(one, other) for one, other in zip(everything, part, strict=True))
    return False


def _merged(new: Any, everything: Any, part: Any) -> Any:
    """`new` with what `everything` has beyond `part`: what did not change comes back whole."""
    if new == part:
        return everything
    if isinstance(new, dict) and isinstance(everything, dict) and isinstance(part, dict):
        kept = {key: value for key, value in everything.items() if key not in part}
        return kept | {key: _merged(value, everything.get(key), part.get(key)) for key, value in new.items()}
    if isinstance(new, list) and isinstance(everything, list) and isinstance(part, list):
        pairs = list(zip(everything, part, strict=True))
        return [next((whole for whole, known in pairs if known == item), item) for item in new]
    return new
