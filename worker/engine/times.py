"""Times as Docker writes them: RFC 3339 in JSON, "2 hours" in a container's status."""

from __future__ import annotations

from datetime import datetime

ZERO = "0001-01-01T00:00:00Z"  # Go's zero time: it never happened


def rfc3339(moment: datetime | None) -> str:
    return ZERO if moment is None else moment.isoformat().replace("+00:00", "Z")


def human_duration(seconds: float) -> str:
    """ "Less than a second", "47 seconds", "About an hour", "3 weeks": go-units' HumanDuration."""
    whole = int(seconds)
    minutes, hours = int(seconds / 60), int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    return _long_duration(hours)


def _long_duration(hours: int) -> str:
    for limit, unit, divisor in ((48, "hours", 1), (336, "days", 24), (1440, "weeks", 168), (17_520, "months", 720)):
        if hours < limit:
            return f"{hours // divisor} {unit}"
    return f"{hours // 8760} years"
