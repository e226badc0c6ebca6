"""Restart policies, health rules and how long ago things were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from common.errors import InvalidArgument
from common.model.container import ContainerConfig, HostConfig, RestartPolicy
from common.model.shared import HealthConfig
from common.settings import Settings
from worker.engine import shapes
from worker.engine.container import Container
from worker.engine.disk import Disk
from worker.engine.health import after
from worker.engine.record import Health, HealthResult, Record, State
from worker.engine.restart import next_delay
from worker.engine.times import human_duration, rfc3339
from worker.engine.validate import check_policy, parse_signal
from worker.runtime.base import Exit

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def container(policy: RestartPolicy, state: State) -> Container:
    record = Record(
        id="a" * 64, name="web", created=NOW, image="i", image_id="", config=ContainerConfig(),
        host=HostConfig(restart_policy=policy),
    )  # fmt: skip
    return Container(record, state, Disk(Settings(root=Path("/nowhere"), state=Path("/nowhere"))))


def ended(seconds: float, code: int = 1) -> Exit:
    return Exit(code, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("policy", "state", "code", "again"),
    [
        (RestartPolicy(name="no"), State(), 1, False),
        (RestartPolicy(name="always"), State(), 0, True),
        (RestartPolicy(name="unless-stopped"), State(), 0, True),
        (RestartPolicy(name="unless-stopped"), State(manually_stopped=True), 0, False),
        (RestartPolicy(name="on-failure"), State(), 0, False),
        (RestartPolicy(name="on-failure"), State(restart_count=99), 1, True),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), State(restart_count=1), 1, True),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), State(restart_count=2), 1, False),
    ],
)
async def test_which_containers_run_again(policy: RestartPolicy, state: State, code: int, again: bool) -> None:
    assert (next_delay(container(policy, state), ended(1, code)) is not None) is again


async def test_pauses_double_up_to_a_minute_and_begin_anew_after_a_good_run() -> None:
    web = container(RestartPolicy(name="always"), State(started_at=NOW))
    assert [next_delay(web, ended(1)) for _ in range(12)] == [
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        3.2,
        6.4,
        12.8,
        25.6,
        51.2,
        60,
        60,
    ]
    assert next_delay(web, ended(10)) == 0.1
    web.no_restart.set()
    assert next_delay(web, ended(1)) is None


def test_policies_that_do_not_exist() -> None:
    for policy in (RestartPolicy(name="often"), RestartPolicy(name="always", maximum_retry_count=1)):
        with pytest.raises(InvalidArgument):
            check_policy(policy, auto_remove=False)


@pytest.mark.parametrize(("text", "number"), [("SIGTERM", 15), ("kill", 9), ("15", 15), ("RTMIN+3", 37)])
def test_signals_have_names_and_numbers(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGNOPE", "-9", "RTMIN+99", "TERM "])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_signal(text)


def test_health_needs_several_failures_and_forgives_the_start() -> None:
    check = HealthConfig(test=["CMD", "x"], retries=2, start_period=5_000_000_000)
    health = Health()
    expected = [(1, "starting", 0), (6, "starting", 1), (7, "unhealthy", 2), (8, "unhealthy", 3)]
    for second, status, streak in expected:
        health = after(health, _result(second, 1), check, NOW)
        assert (health.status, health.failing_streak) == (status, streak)
    health = after(health, _result(9, 0), check, NOW)
    assert (health.status, health.failing_streak, len(health.log)) == ("healthy", 0, 5)
    assert len(after(health, _result(10, 0), check, NOW).log) == 5


def _result(second: float, code: int) -> HealthResult:
    moment = NOW + timedelta(seconds=second)
    return HealthResult(moment, moment, code, "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (150, "2 minutes"),
        (3600, "About an hour"), (47 * 3600, "47 hours"), (49 * 3600, "2 days"), (15 * 86400, "2 weeks"),
        (90 * 86400, "3 months"), (800 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_durations_are_told_as_docker_tells_them(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


async def test_the_status_of_a_container() -> None:
    web = container(RestartPolicy(), State())
    later = NOW + timedelta(minutes=5)

    def status(**changes: object) -> str:
        web.state = msgspec.structs.replace(State(), **changes)
        return shapes.status(web, later)

    assert status() == "Created"
    assert status(status="running", started_at=NOW) == "Up 5 minutes"
    assert status(status="paused", started_at=NOW) == "Up 5 minutes (Paused)"
    assert status(status="running", started_at=NOW, health=Health()) == "Up 5 minutes (health: starting)"
    assert status(status="exited", exit_code=3, finished_at=NOW) == "Exited (3) 5 minutes ago"
    assert status(status="restarting", exit_code=1, finished_at=NOW) == "Restarting (1) 5 minutes ago"


def test_times_are_written_as_go_writes_them() -> None:
    assert rfc3339(NOW) == "2024-01-01T00:00:00Z"
    assert rfc3339(None) == "0001-01-01T00:00:00Z"
