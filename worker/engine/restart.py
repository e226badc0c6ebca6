"""Restart policies: whether a container that ended runs again, and after which pause. Docker's rules and back-off."""

from __future__ import annotations

from worker.engine.container import Container
from worker.runtime.base import Exit

FIRST, LONGEST = 0.1, 60.0  # seconds of pause
_SETTLED = 10.0  # seconds of running after which the back-off begins anew


def next_delay(container: Container, exit: Exit) -> float | None:
    """Seconds until the next run; None where the container stays ended."""
    if container.no_restart.is_set() or not wanted(container, exit.code):
        return None
    started = container.state.started_at
    settled = started is not None and (exit.finished_at - started).total_seconds() >= _SETTLED
    last = 0.0 if settled else container.restart_delay
    container.restart_delay = min(LONGEST, last * 2) if last else FIRST
    return container.restart_delay


def wanted(container: Container, exit_code: int) -> bool:
    """What the policy says of a container that ended with this code; also asked when a daemon starts."""
    policy, state = container.host.restart_policy, container.state
    if policy.name == "always":
        return True
    if policy.name == "unless-stopped":
        return not state.manually_stopped
    if policy.name == "on-failure":
        return exit_code != 0 and (not policy.maximum_retry_count or state.restart_count < policy.maximum_retry_count)
    return False
