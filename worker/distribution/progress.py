"""What a transfer tells while it goes on: Docker's progress messages, as data, the latest of each layer for slow readers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

Message = dict[str, Any]
_INTERVAL = 0.1  # seconds between two figures of one layer


class Progress:
    """Statuses are all kept; figures (`progressDetail`) only as far as somebody reads them."""

    def __init__(self) -> None:
        self._waiting: dict[object, Message] = {}
        self._ready = asyncio.Event()
        self._last: dict[str, float] = {}
        self._ended = False

    def say(self, status: str, id: str = "", **more: Any) -> None:
        message: Message = {"status": status, **({"id": id} if id else {}), **more}
        self._put(object(), message)

    def layer(self, status: str, id: str) -> None:
        """A layer's new status; figures of its last one that nobody read are out of date."""
        self._waiting.pop(id, None)
        self._last.pop(id, None)
        self.say(status, id, progressDetail={})

    def figure(self, status: str, id: str, current: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last.get(id, 0.0) >= _INTERVAL:
            self._last[id] = now
            detail = {"current": current, "total": total}
            self._put(id, {"status": status, "progressDetail": detail, "progress": _bar(current, total), "id": id})

    def aux(self, value: Message) -> None:
        self._put(object(), {"progressDetail": {}, "aux": value})

    def _put(self, key: object, message: Message) -> None:
        self._waiting[key] = message
        self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()

    async def messages(self) -> AsyncGenerator[Message, None]:
        while True:
            self._ready.clear()
            while self._waiting:
                key = next(iter(self._waiting))
                yield self._waiting.pop(key)
            if self._ended:
                return
            await self._ready.wait()


async def told(work: Callable[[Progress], Awaitable[None]]) -> AsyncGenerator[Message, None]:
    """Do the work and give its messages; leaving early cancels it. Raises what the work raises."""
    progress = Progress()

    async def run() -> None:
        try:
            await work(progress)
        finally:
            progress.end()

    task = asyncio.ensure_future(run())
    try:
        async for message in progress.messages():
            yield message
        await task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])


def _bar(current: int, total: int) -> str:
    """The bar that clients print as it is: "[=====>     ]  1.2MB/5MB"."""
    if total <= 0:
        return _size(current)
    filled = min(50, 50 * current // total)
    arrow = "=" * filled + (">" if filled < 50 else "")
    return f"[{arrow:<50}]  {_size(current)}/{_size(total)}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.4g}{unit}"
