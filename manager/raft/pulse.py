"""A beat that tasks wait for, each time anew: "something moved, look again"."""

from __future__ import annotations

import asyncio


class Pulse:
    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._end: Exception | None = None

    async def wait(self) -> None:
        """Until the next beat. Raises what `close` was given."""
        if self._end is not None:
            raise self._end
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def beat(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def close(self, error: Exception) -> None:
        """There will be no more beats: all that wait, now or later, get `error`."""
        self._end = error
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(error)
