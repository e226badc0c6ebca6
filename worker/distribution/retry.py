"""When a request to a registry is tried again: which failures pass, and how long to wait. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

ATTEMPTS = 6
_FIRST, _LONGEST, _PATIENCE = 0.25, 8.0, 120.0  # seconds
_PASSING = (408, 425, 429, 500, 502, 503, 504)


def passes(status: int) -> bool:
    """Whether an answer of this status may be another one next time."""
    return status in _PASSING


def pause(attempt: int, told: str = "", *, now: datetime | None = None, spread: float = 0.5) -> float:
    """Seconds to wait after failure number `attempt` (from 0); `told` is the Retry-After header; `spread` in 0…1 spreads clients."""
    wait = min(_FIRST * (1 << attempt), _LONGEST) * (0.75 + spread / 2)
    return min(max(wait, _seconds(told, now or datetime.now(UTC))), _PATIENCE)


def _seconds(told: str, now: datetime) -> float:
    if told.strip().isdecimal():
        return float(told)
    try:
        moment = parsedate_to_datetime(told)
    except (TypeError, ValueError, IndexError):
        return 0.0
    return max(0.0, moment.timestamp() - now.timestamp()) if moment.tzinfo else 0.0
