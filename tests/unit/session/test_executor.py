"""The executor: results as events, insistence on stops and removals, a bound on what starts at once."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import pytest
from structlog.contextvars import get_contextvars

from common.errors import NotFound, Unavailable
from common.wire import Assignments
from tests.harness.tasks import FakeHost, task
from tests.harness.wait import eventually
from worker.session import executor
from worker.session.actions import Action, Done, Kind
from worker.session.base import Phase, Seen
from worker.session.executor import STARTS_PER_CPU, Executor
from worker.session.measures import Measures


async def run(host: FakeHost, *actions: Action) -> list[Done]:
    done: list[Done] = []
    async with asyncio.TaskGroup() as group:
        works = Executor(host, group, Assignments, done.append, at_once)
        for action in actions:
            works.submit(action)
    return done


async def at_once() -> None:
    """No connections are led anywhere."""


def prepare(id: str) -> Action:
    return Action(Kind.PREPARE, id, task(id))


async def test_results_come_back_as_events() -> None:
    host = FakeHost()
    [prepared] = await run(host, prepare("t1"))
    assert prepared.seen is not None
    assert (prepared.seen.phase, prepared.error) == (Phase.CREATED, "")
    [started] = await run(host, Action(Kind.START, "t1"))
    assert started.seen == host.containers["t1"]
    [removed] = await run(host, Action(Kind.REMOVE, "t1"))
    assert (removed.seen, removed.error, host.containers) == (None, "", {})


async def test_a_failure_is_told_in_its_own_words_and_only_once_tried() -> None:
    host = FakeHost()
    host.broken["t1"] = NotFound("No such image: x")
    [done] = await run(host, prepare("t1"))
    assert done.error == "No such image: x"
    assert host.calls == [("prepare", "t1")]


@pytest.mark.parametrize("kind", [Kind.STOP, Kind.REMOVE])
async def test_stopping_and_removing_are_tried_until_they_succeed(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "RETRY", (0.001, 0.001))
    host = FakeHost()
    await run(host, prepare("t1"))
    host.broken["t1"] = Unavailable("device or resource busy")
    [done] = await run(host, Action(kind, "t1"))
    assert done.error == ""
    assert host.calls.count((kind.value, "t1")) == 2


async def test_only_so_many_start_at_once() -> None:
    host = FakeHost()
    done = await run(host, *(prepare(f"t{number}") for number in range(100)))
    assert len(done) == 100
    assert host.most_busy == STARTS_PER_CPU * (os.cpu_count() or 1)


async def test_a_task_is_stopped_only_once_no_new_connections_are_led_to_it() -> None:
    host, done, drained = FakeHost(), list[Done](), asyncio.Event()
    await run(host, prepare("t1"), prepare("t2"))
    async with asyncio.TaskGroup() as group:
        works = Executor(host, group, Assignments, done.append, partial(_wait, drained))
        works.submit(Action(Kind.STOP, "t1"))
        works.submit(Action(Kind.START, "t2"))
        await eventually(lambda: ("start", "t2") in host.calls)
        assert ("stop", "t1") not in host.calls
        drained.set()
    assert ("stop", "t1") in host.calls


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def test_what_is_logged_on_the_way_says_for_which_task_and_service() -> None:
    class Told(FakeHost):
        async def start(self, task_id: str) -> Seen:
            seen.append(get_contextvars())
            return await super().start(task_id)

    seen: list[dict[str, object]] = []
    host, done = Told(), []
    measures = Measures()
    assigned = Assignments(tasks={"t1": task("t1")})
    async with asyncio.TaskGroup() as group:
        works = Executor(host, group, lambda: assigned, done.append, at_once, measures)
        works.submit(Action(Kind.START, "t1"))
        works.submit(prepare("t2"))
    assert [{key: one[key] for key in ("task", "service")} for one in seen] == [
        {"task": "t1", "service": task("t1").service_id}
    ]
    assert "task" not in get_contextvars()
    assert sum(measures.actions.values()) == 2
    assert measures.spent[Kind.PREPARE].count == 1
