"""Moments: what users write for --since and --until, and the timestamps of the API."""

from __future__ import annotations

import re
import time
from datetime import datetime

from cli.parse.units import parse_duration

_UNIX = re.compile(r"\d+(\.\d+)?")
_FRACTION = re.compile(r"\.\d+")


def parse_moment(text: str, now: float | None = None) -> str:
    """The API's form, "seconds.nanoseconds", of an RFC 3339 time, a UNIX time or a duration before `now`."""
    if _UNIX.fullmatch(text):
        return text
    try:
        return f"{(time.time() if now is None else now) - parse_duration(text) / 1e9:.9f}"
    except ValueError:
        pass
    try:
        return f"{datetime.fromisoformat(text).timestamp():.9f}"
    except ValueError:
        raise ValueError(
            f"invalid time {text!r}: write 2026-01-02T15:04:05Z, a UNIX time in seconds, or a duration as 42m"
        ) from None


def seconds(text: str | None) -> float:
    """UNIX time of an API timestamp, 0.0 for none (also the year 1, Go's zero)."""
    if not text or text.startswith("0001-"):
        return 0.0
    fraction = _FRACTION.search(text)
    whole = text[: fraction.start()] + text[fraction.end() :] if fraction else text
    return datetime.fromisoformat(whole).timestamp() + (float(fraction[0]) if fraction else 0.0)
