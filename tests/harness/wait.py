"""Waiting for a condition with a deadline, in place of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, *, timeout: float = 30.0, every: float = 0.02) -> T:
    """Call `condition` until it returns something true and return that; AssertionError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout:.0f} s: {what} (last: {value!r})")
        time.sleep(every)


async def eventually(condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
    """The same on an event loop, for what goes on there."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout:.0f} s")
        await asyncio.sleep(0.005)
