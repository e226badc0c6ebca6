"""Waiting for something that happens again and again: each waiter gets the next occurrence."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Signal(Generic[T]):
    """`future()` before the thing can happen, then await it; `fire()` resolves all futures given out so far."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[T]] = []

    def future(self) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        future.add_done_callback(self._forget)
        return future

    def fire(self, value: T) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(value)

    def _forget(self, future: asyncio.Future[T]) -> None:
        if future in self._waiting:
            self._waiting.remove(future)
