"""Points in time as users write them in `since` and `until`."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from common.errors import InvalidArgument

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIX = re.compile(r"(\d+)(?:\.(\d+))?")


def moment(text: str) -> int:
    """A Unix time ("1700000000.5"), an RFC 3339 date, or a duration back from now ("1h30m"): nanoseconds since the epoch.

    Raises InvalidArgument.
    """
    if unix := _UNIX.fullmatch(text):
        return int(unix[1]) * 10**9 + int((unix[2] or "").ljust(9, "0")[:9])
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return time.time_ns() - sum(int(float(number) * _UNITS[unit]) for number, unit in parts)
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(
            f"invalid time {text!r}: use Unix seconds, an RFC 3339 date or a duration as 10m"
        ) from None
    return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1e9)
