"""Statuses go forward only, and only from the task's own node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from common.model import Task, TaskState, TaskStatus
from common.wire import TaskUpdate
from manager.dispatcher.standing import Standing
from manager.dispatcher.status import StatusWriter, changes, forward
from manager.store.base import Change, Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from tests.harness.wait import eventually
from tests.unit.dispatcher.objects import task


@pytest.mark.parametrize(
    ("old", "new", "moves"),
    [
        ("assigned", "accepted", True),
        ("accepted", "running", True),
        ("running", "failed", True),
        ("running", "starting", False),
        ("running", "assigned", False),
        ("pending", "assigned", False),
        ("failed", "orphaned", False),
        ("complete", "failed", False),
    ],
)
def test_states_go_forward_and_end_once(old: str, new: str, moves: bool) -> None:
    assert forward(TaskStatus(state=TaskState(old)), TaskStatus(state=TaskState(new))) is moves


def test_more_about_the_same_state_is_news() -> None:
    running = TaskStatus(state=TaskState.RUNNING)
    assert forward(running, TaskStatus(state=TaskState.RUNNING, healthy=False))
    assert not forward(running, running)


async def test_reports_of_other_nodes_and_unknown_tasks_are_ignored() -> None:
    async with open_store(MemoryLog()) as store:
        await store.commit([Put(task(1, "n1")), Put(task(2, "n2"))])
        running = TaskStatus(state=TaskState.RUNNING)
        batch = {"t1": ("n1", running), "t2": ("n1", running), "t9": ("n1", running)}
        assert [put.object.id for put in changes(store.view(), batch)] == ["t1"]


class Meddling(StateStore):
    """Somebody else changes a task right before the first commits."""

    meddle = 3

    async def commit(self, wanted: Sequence[Change], *, leading: bool = False) -> int:
        if self.meddle and wanted:
            self.meddle -= 1
            victim = self.view().get(Task, wanted[0].object.id)
            assert victim is not None
            await super().commit([Put(victim)])
        return await super().commit(wanted, leading=leading)


async def test_conflicts_do_not_lose_statuses() -> None:
    async with open_store(MemoryLog()) as opened:
        store = Meddling(opened._log, opened._machine, opened._clock)
        await opened.commit([Put(task(number)) for number in range(10)])
        writer = StatusWriter(store, Standing(store, time.monotonic))
        running = asyncio.ensure_future(writer.run())
        writer.put("n1", [TaskUpdate(task_id=f"t{n}", status=TaskStatus(state=TaskState.RUNNING)) for n in range(10)])
        await eventually(lambda: len(opened.view().find(Task, "state", "running")) == 10)
        assert store.meddle == 0
        running.cancel()


async def test_a_failed_task_is_logged_with_its_node_and_service() -> None:
    async with open_store(MemoryLog()) as store:
        await store.commit([Put(task(1)), Put(task(2))])
        writer = StatusWriter(store, Standing(store, time.monotonic))
        with capture_logs() as lines:
            running = asyncio.ensure_future(writer.run())
            failed = TaskStatus(state=TaskState.FAILED, err="exit code 3")
            good = TaskUpdate(task_id="t2", status=TaskStatus(state=TaskState.RUNNING))
            writer.put("n1", [TaskUpdate(task_id="t1", status=failed), good])
            await eventually(lambda: lines != [])
            running.cancel()
        about = {"node": "n1", "service": task(1).service_id, "task": "t1", "state": "failed", "error": "exit code 3"}
        assert lines == [{"event": "task failed", "log_level": "info", **about}]
