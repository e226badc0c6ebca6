"""Health checks and logs."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.field import Decorator, field, many, pairs, put, together
from cli.flags.types import DURATION, PAIR
from cli.parse.policies import health_test


def health(base: str) -> Decorator:
    """The health check's flags, with fields below `base` ("Healthcheck")."""
    return together(
        click.option("--health-cmd", help="Command that checks its health"),
        field(f"{base}.Interval", "--health-interval", type=DURATION, help="Time between checks, as 30s"),
        field(f"{base}.Retries", "--health-retries", type=int, help="Failures in a row that make it unhealthy"),
        field(
            f"{base}.StartInterval", "--health-start-interval", type=DURATION, help="Time between checks at its start"
        ),
        field(
            f"{base}.StartPeriod",
            "--health-start-period",
            type=DURATION,
            help="Time at its start when failures do not count",
        ),
        field(f"{base}.Timeout", "--health-timeout", type=DURATION, help="Time that a check may take"),
        click.option("--no-healthcheck", is_flag=True, help="No health check, whatever the image says"),
    )


options = together(
    health("Healthcheck"),
    field("HostConfig.LogConfig.Type", "--log-driver", help="Log driver"),
    many("HostConfig.LogConfig.Config", "--log-opt", type=PAIR, shape=pairs, help="Option of the log driver"),
)


def fill(params: dict[str, Any], body: dict[str, Any], path: str = "Healthcheck") -> None:
    """Set the check's command at `path`. Raises ValueError where --no-healthcheck meets other health flags."""
    test = health_test(params["health_cmd"], params["no_healthcheck"])
    others = [name for name in params if name.startswith("health_") and params[name] is not None]
    if params["no_healthcheck"] and others:
        raise ValueError("conflicting options: --no-healthcheck and --health-… flags")
    if test is not None:
        put(body, f"{path}.Test", test)
