"""Clients that want to be attached before the process runs (`docker run` attaches first and starts then).

Container.start() calls `connect()` between the runtime's create() and start(), or `fail()`; attach endpoints `wait()`.
"""

from __future__ import annotations

import asyncio

from common.errors import ShoalError
from worker.runtime.base import Runtime, Streams


class AttachWaiters:
    """Those who wait for one container's next start."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[Streams]] = []

    def wait(self) -> asyncio.Future[Streams]:
        """A future of the streams, connected before the process's first byte. Cancel it to leave."""
        future: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    async def connect(self, runtime: Runtime, id: str) -> None:
        """Attach all who wait to the container that was just created."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():
                continue
            streams = await runtime.attach(id)
            if future.done():
                streams.close()
            else:
                future.set_result(streams)

    def fail(self, error: ShoalError) -> None:
        """The container will not start: all who wait get this error."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(error)
