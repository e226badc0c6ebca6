"""A manager that hears no answer from its store may not serve; one that is merely busy may."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from manager.dispatcher import standing
from manager.dispatcher.standing import Standing
from tests.harness.wait import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PROBE", 0.02)
    monkeypatch.setattr(standing, "PATIENCE", 0.03)


async def test_a_store_that_does_not_answer_is_found() -> None:
    async def barrier() -> None:
        await asyncio.get_running_loop().create_future()

    store: Any = SimpleNamespace(barrier=barrier)
    found = Standing(store, time.monotonic)
    watching = asyncio.ensure_future(found.run())
    await eventually(lambda: "lost the others" in found.reason)
    watching.cancel()


async def test_a_busy_manager_is_given_its_turns() -> None:
    """Each turn of the loop takes longer than the store may take to answer, and the answer takes several turns."""
    answered = 0

    async def barrier() -> None:
        nonlocal answered
        for _ in range(5):
            await asyncio.sleep(0)
        answered += 1

    def block() -> None:
        time.sleep(0.03)

    async def work() -> None:
        while answered < 3:
            block()
            await asyncio.sleep(0)

    store: Any = SimpleNamespace(barrier=barrier)
    found = Standing(store, time.monotonic)
    watching, working = asyncio.ensure_future(found.run()), asyncio.ensure_future(work())
    reasons = set()
    while not working.done():
        reasons.add(found.reason)
        await asyncio.sleep(0)
    watching.cancel()
    assert reasons == {""}
