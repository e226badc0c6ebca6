"""Work that goes on behind requests: waiting for containers' ends, restarts, health checks. All of it in one TaskGroup.

`spawn` works before `run()` is there, too: what recovery finds is started as soon as the daemon runs. An error that a
container can cause is logged with its name; any other one ends `run()`, and with it the daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from common.errors import ShoalError

log = structlog.get_logger()


class Background:
    def __init__(self) -> None:
        self._queue: list[tuple[str, Coroutine[Any, Any, None]]] = []
        self._group: asyncio.TaskGroup | None = None

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            self._queue.append((name, work))
        else:
            self._group.create_task(_guard(name, work), name=name)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            queue, self._queue = self._queue, []
            for name, work in queue:
                self.spawn(name, work)
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def close(self) -> None:
        """Forget what never got to run."""
        queue, self._queue = self._queue, []
        for _, work in queue:
            work.close()


async def _guard(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (ShoalError, OSError) as error:
        log.warning("background work failed", work=name, error=str(error))
