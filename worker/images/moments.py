"""Moments as filters name them (`until`): a Go duration before now, an RFC 3339 time, or seconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from common.errors import InvalidArgument

_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float | None:
    """Seconds of "1h30m"; None where it is no duration."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_moment(text: str) -> datetime:
    """Raises InvalidArgument."""
    if (seconds := parse_duration(text)) is not None:
        return datetime.now(UTC) - timedelta(seconds=seconds)
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise InvalidArgument(f"{text!r} is no time: write 24h, 2024-01-31T12:00:00Z or seconds since 1970") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
