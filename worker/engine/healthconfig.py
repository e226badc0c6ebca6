"""Health checks as asked for: valid or not, and with Docker's defaults."""

from __future__ import annotations

from common.errors import InvalidArgument
from common.model.shared import HealthConfig

_MINIMUM = 1_000_000  # nanoseconds
_DURATIONS = ("interval", "timeout", "start_period", "start_interval")
_DEFAULTS = {"interval": 30.0, "timeout": 30.0, "start_period": 0.0, "start_interval": 5.0}  # seconds


def check_health(health: HealthConfig | None) -> None:
    """Raises InvalidArgument."""
    if health is None:
        return
    kind = health.test[:1]
    if kind and kind[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f"Unknown healthcheck type {kind[0]!r} (expected 'CMD'): use NONE, CMD or CMD-SHELL")
    if kind in (["CMD"], ["CMD-SHELL"]) and len(health.test) < 2:
        raise InvalidArgument(f"health check {kind[0]} has no command")
    for field in _DURATIONS:
        value = getattr(health, field)
        if value and value < _MINIMUM:
            raise InvalidArgument(f"{field.title().replace('_', '')} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")


def enabled(health: HealthConfig | None) -> bool:
    return health is not None and bool(health.test) and health.test[0] != "NONE"


def seconds(health: HealthConfig, field: str) -> float:
    """One of the durations, with its default."""
    value: int = getattr(health, field)
    return value / 1e9 if value else _DEFAULTS[field]


def retries(health: HealthConfig) -> int:
    return health.retries or 3
