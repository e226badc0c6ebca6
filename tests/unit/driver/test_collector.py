"""The collector leaves the state alone while the manager runs, and is as it was afterwards."""

from __future__ import annotations

import asyncio
import gc

import pytest

from manager import collector
from tests.harness.wait import eventually


class Ring:
    """Garbage that only the collector finds."""

    dead = 0

    def __init__(self) -> None:
        self.self = self

    def __del__(self) -> None:
        Ring.dead += 1


async def test_it_looks_at_everything_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "SELDOM", 0.01)
    monkeypatch.setattr(collector, "SHARE", 0)
    before = gc.get_threshold()
    caring = asyncio.ensure_future(collector.collect())
    try:
        await eventually(lambda: gc.get_threshold() == collector.YOUNG)
        dead = Ring.dead
        Ring()
        await eventually(lambda: Ring.dead > dead)
    finally:
        caring.cancel()
        await asyncio.gather(caring, return_exceptions=True)
        gc.unfreeze()
    assert gc.get_threshold() == before
