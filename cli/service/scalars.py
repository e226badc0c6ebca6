"""Flags of `service create` and `service update` that set one field each."""

from __future__ import annotations

import shlex
from typing import Any

import click

from cli.flags.field import Decorator, field, many, pairs, switch, together
from cli.flags.types import BYTES, DURATION, NANO_CPUS, PAIR, UINT
from cli.run.health import health

CONTAINER = "TaskTemplate.ContainerSpec"
HEALTH = f"{CONTAINER}.Healthcheck"
_RESTART = "TaskTemplate.RestartPolicy"
_LIMITS, _RESERVED = "TaskTemplate.Resources.Limits", "TaskTemplate.Resources.Reservations"
_ACTIONS = {"update": ("pause", "continue", "rollback"), "rollback": ("pause", "continue")}


def _rollout(name: str) -> Decorator:
    """The flags of UpdateConfig or RollbackConfig."""
    base = f"{name.capitalize()}Config"
    return together(
        field(f"{base}.Delay", f"--{name}-delay", type=DURATION, help=f"Time between {name}s of tasks (default 0s)"),
        field(
            f"{base}.FailureAction",
            f"--{name}-failure-action",
            type=click.Choice(_ACTIONS[name]),
            help="What to do on failure (default pause)",
        ),
        field(
            f"{base}.MaxFailureRatio",
            f"--{name}-max-failure-ratio",
            type=click.FloatRange(0, 1),
            help="Failures to tolerate",
        ),
        field(f"{base}.Monitor", f"--{name}-monitor", type=DURATION, help="Time to watch each task (default 5s)"),
        field(
            f"{base}.Order",
            f"--{name}-order",
            type=click.Choice(["start-first", "stop-first"]),
            help="Which comes first (default stop-first)",
        ),
        field(f"{base}.Parallelism", f"--{name}-parallelism", type=UINT, help="Tasks at once; 0 all (default 1)"),
    )


def split_words(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """A command in one text, cut as a shell does."""
    try:
        return None if value is None else shlex.split(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}", ctx, param) from None


options: Decorator = together(
    field(
        "EndpointSpec.Mode",
        "--endpoint-mode",
        type=click.Choice(["vip", "dnsrr"]),
        help="How its name resolves (default vip)",
    ),
    field(f"{CONTAINER}.Command", "--entrypoint", callback=split_words, help="Instead of the image's ENTRYPOINT"),
    health(HEALTH),
    field(f"{CONTAINER}.Hostname", "--hostname", help="Host name, may be a template"),
    switch(f"{CONTAINER}.Init", "--init", help="Run an init inside that passes signals on and reaps processes"),
    field(f"{CONTAINER}.Isolation", "--isolation", help="Isolation technology"),
    field(f"{_LIMITS}.NanoCPUs", "--limit-cpu", type=NANO_CPUS, help="Limit of CPUs, as 1.5"),
    field(f"{_LIMITS}.MemoryBytes", "--limit-memory", type=BYTES, help="Limit of memory, as 512m"),
    field(f"{_LIMITS}.Pids", "--limit-pids", type=int, help="Limit of processes; 0 none"),
    field("TaskTemplate.LogDriver.Name", "--log-driver", help="Log driver"),
    many("TaskTemplate.LogDriver.Options", "--log-opt", type=PAIR, shape=pairs, help="Option of the log driver"),
    click.option("--max-concurrent", type=UINT, help="Tasks of a job at once"),
    field(f"{CONTAINER}.OomScoreAdj", "--oom-score-adj", type=int, help="How soon the kernel kills it, -1000 to 1000"),
    switch(f"{CONTAINER}.ReadOnly", "--read-only", help="Mount the root file system read-only"),
    click.option("--replicas", type=UINT, help="Number of tasks"),
    field(
        "TaskTemplate.Placement.MaxReplicas",
        "--replicas-max-per-node",
        type=UINT,
        help="Most tasks on a node; 0 no limit",
    ),
    field(f"{_RESERVED}.NanoCPUs", "--reserve-cpu", type=NANO_CPUS, help="CPUs that a node must have free"),
    field(f"{_RESERVED}.MemoryBytes", "--reserve-memory", type=BYTES, help="Memory that a node must have free"),
    field(
        f"{_RESTART}.Condition",
        "--restart-condition",
        type=click.Choice(["none", "on-failure", "any"]),
        help="When to replace a task that ended (default any)",
    ),
    field(f"{_RESTART}.Delay", "--restart-delay", type=DURATION, help="Time before that (default 5s)"),
    field(f"{_RESTART}.MaxAttempts", "--restart-max-attempts", type=UINT, help="How often; 0 without end"),
    field(f"{_RESTART}.Window", "--restart-window", type=DURATION, help="Time within which attempts are counted"),
    _rollout("rollback"),
    field(
        f"{CONTAINER}.StopGracePeriod", "--stop-grace-period", type=DURATION, help="Time to stop before it is killed"
    ),
    field(f"{CONTAINER}.StopSignal", "--stop-signal", help="Signal that stops the container"),
    switch(f"{CONTAINER}.TTY", "-t", "--tty", help="Give it a terminal"),
    _rollout("update"),
    field(f"{CONTAINER}.User", "-u", "--user", metavar="NAME|UID[:GROUP|GID]", help="User, and group"),
    field(f"{CONTAINER}.Dir", "-w", "--workdir", help="Working folder inside"),
)

DEFAULTS: dict[str, dict[str, Any]] = {
    "UpdateConfig": {"Parallelism": 1, "Monitor": 5 * 10**9, "FailureAction": "pause", "Order": "stop-first"},
    "RollbackConfig": {"Parallelism": 1, "Monitor": 5 * 10**9, "FailureAction": "pause", "Order": "stop-first"},
}


def with_defaults(spec: dict[str, Any]) -> None:
    """Fill what a partly given rollout leaves out, so that 0 stays 0 and absence means the default."""
    for name, defaults in DEFAULTS.items():
        if spec.get(name) is not None:
            spec[name] = {**defaults, **spec[name]}
