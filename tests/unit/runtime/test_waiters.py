"""Attaching before the start."""

from __future__ import annotations

from typing import Any, cast

import pytest

from common.errors import Conflict
from worker.runtime.base import Runtime
from worker.runtime.waiters import AttachWaiters


class Attached:
    closed = False

    def close(self) -> None:
        self.closed = True


class OnlyAttach:
    """A runtime that can attach; `leaves` is cancelled while it does."""

    def __init__(self, leaves: Any = None) -> None:
        self.given: list[Attached] = []
        self._leaves = leaves

    async def attach(self, id: str) -> Attached:
        self.given.append(Attached())
        if self._leaves is not None:
            self._leaves.cancel()
        return self.given[-1]


async def test_all_who_wait_are_connected_once() -> None:
    waiters, runtime = AttachWaiters(), OnlyAttach()
    first, second = waiters.wait(), waiters.wait()
    await waiters.connect(cast(Runtime, runtime), "c")
    await waiters.connect(cast(Runtime, runtime), "c")
    assert [first.result(), second.result()] == runtime.given


async def test_who_left_is_not_connected() -> None:
    waiters, runtime = AttachWaiters(), OnlyAttach()
    waiters.wait().cancel()
    await waiters.connect(cast(Runtime, runtime), "c")
    assert runtime.given == []


async def test_streams_of_one_who_leaves_meanwhile_are_closed() -> None:
    waiters = AttachWaiters()
    runtime = OnlyAttach(waiters.wait())
    await waiters.connect(cast(Runtime, runtime), "c")
    assert [streams.closed for streams in runtime.given] == [True]


async def test_a_failed_start_reaches_all() -> None:
    waiters = AttachWaiters()
    future = waiters.wait()
    waiters.fail(Conflict("no"))
    with pytest.raises(Conflict, match="no"):
        future.result()
