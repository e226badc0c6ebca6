"""Following a service: when it counts as converged, and when waiting ends with an error."""

from __future__ import annotations

from typing import Any

import pytest

from cli.errors import CliError
from cli.service import watch
from cli.service.watch import Watcher

TASK = {"Slot": 1, "NodeID": "n1", "DesiredState": "running"}


class Scripted:
    """A client whose answers come from a list: per look (state of the task, status of the update)."""

    def __init__(self, *looks: tuple[str, dict[str, Any]]) -> None:
        self._looks = list(looks)
        self._now = looks[0]

    def get(self, path: str, **_: Any) -> Any:
        if path.startswith("/services/"):
            self._now = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
            return {"Spec": {"Mode": {"Replicated": {"Replicas": 1}}}, "UpdateStatus": self._now[1]}
        if path == "/tasks":
            return [{**TASK, "Status": {"State": self._now[0]}}]
        return [{"ID": "n1", "Status": {"State": "ready"}}]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only in sleep, a second each."""
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watch.time, "sleep", lambda _: now.__setitem__(0, now[0] + 1))


def run(*looks: tuple[str, dict[str, Any]], **options: Any) -> None:
    Watcher(Scripted(*looks), "svc", monitor=3.0, **options).run()  # type: ignore[arg-type]


def test_it_must_stay_up(capsys: pytest.CaptureFixture[str]) -> None:
    run(("starting", {}), ("running", {}), ("failed", {}), ("running", {}))
    assert capsys.readouterr().out.splitlines() == [
        "overall progress: 0 out of 1 tasks",
        "overall progress: 1 out of 1 tasks",
        "verify: Waiting 3 seconds to verify that tasks are stable...",
        "overall progress: 0 out of 1 tasks",
        "verify: Detected task failure",
        "overall progress: 1 out of 1 tasks",
        "verify: Waiting 3 seconds to verify that tasks are stable...",
        "verify: Waiting 2 seconds to verify that tasks are stable...",
        "verify: Waiting 1 seconds to verify that tasks are stable...",
        "verify: Service svc converged",
    ]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run(("running", {}), quiet=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("state", "part"),
    [("paused", "service update paused: why"), ("rollback_paused", "service rollback paused: why")],
)
def test_updates_that_stop_short(state: str, part: str) -> None:
    with pytest.raises(CliError, match=part):
        run(("running", {"State": "updating"}), ("running", {"State": state, "Message": "why"}))


def test_an_update_that_is_rolled_back_is_a_failure() -> None:
    looks = [
        ("running", {"State": s, "Message": "why"}) for s in ("updating", "rollback_started", "rollback_completed")
    ]
    with pytest.raises(CliError, match="service rolled back: why"):
        run(*looks)
    with pytest.raises(CliError, match="service rolled back: why"):
        run(looks[0], looks[2])
    run(*looks, rollback=True)


def test_a_rollback_of_the_past_is_none() -> None:
    run(("running", {"State": "rollback_completed", "Message": "long ago"}))


def test_a_completed_update_ends_the_wait(capsys: pytest.CaptureFixture[str]) -> None:
    run(("starting", {"State": "updating"}), ("running", {"State": "completed"}))
    assert "Waiting" not in capsys.readouterr().out


def test_ctrl_c_leaves_it_going(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", interrupt)
    run(("starting", {}))
    assert "Operation continuing in background" in capsys.readouterr().out
