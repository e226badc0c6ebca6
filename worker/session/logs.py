"""Answers a manager's log requests: reads a container's log and sends it in chunks, as fast as the connection takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from common.errors import ShoalError
from common.wire import LOG_WINDOW, LogChunk, LogRequest
from worker.runtime.base import LogLine
from worker.session.agent import Agent
from worker.session.base import TaskHost

AHEAD = 512  # lines read ahead of the connection
CHUNK = 256 * 1024  # bytes in one message, about

Send = Callable[[LogChunk], Awaitable[None]]
Line = tuple[datetime, int, bytes]


class LogSender:
    """The log requests of one connection; they run in its TaskGroup and end with it."""

    def __init__(self, host: TaskHost, agent: Agent, group: asyncio.TaskGroup, send: Send) -> None:
        self._host = host
        self._agent = agent
        self._group = group
        self._send = send
        self._running: dict[str, asyncio.Task[None]] = {}
        self._windows: dict[str, asyncio.Semaphore] = {}

    def start(self, request: LogRequest) -> None:
        task = self._group.create_task(self._answer(request), name=f"log of task {request.task_id}")
        self._running[request.id] = task
        self._windows[request.id] = asyncio.Semaphore(LOG_WINDOW)
        task.add_done_callback(lambda _: self._forget(request.id))

    def more(self, id: str) -> None:
        """The reader took a chunk of this request."""
        if (window := self._windows.get(id)) is not None:
            window.release()

    def cancel(self, id: str) -> None:
        if (task := self._running.get(id)) is not None:
            task.cancel()

    def _forget(self, id: str) -> None:
        del self._running[id], self._windows[id]

    async def _answer(self, request: LogRequest) -> None:
        error = ""
        try:
            container = await self._agent.container(request.task_id, wait=request.follow)
            if container is not None:
                await self._copy(request, container)
        except* (ShoalError, OSError) as failures:
            error = str(failures.exceptions[0])
        await self._send(LogChunk(id=request.id, end=True, error=error))

    async def _copy(self, request: LogRequest, container: str) -> None:
        lines = self._host.log(container).read(
            follow=request.follow, tail=request.tail, since=request.since, until=request.until
        )
        queue: asyncio.Queue[Line | None] = asyncio.Queue(AHEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(_fill(queue, lines, request))
            more = True
            while more and (first := await queue.get()) is not None:
                chunk, more = _gather(queue, first)
                await self._windows[request.id].acquire()
                await self._send(LogChunk(id=request.id, lines=chunk))


async def _fill(queue: asyncio.Queue[Line | None], lines: AsyncIterator[LogLine], request: LogRequest) -> None:
    wanted = {1: request.stdout, 2: request.stderr}
    async for line in lines:
        if wanted.get(line.stream, True):
            await queue.put((line.time, line.stream, line.data))
    await queue.put(None)


def _gather(queue: asyncio.Queue[Line | None], first: Line) -> tuple[list[Line], bool]:
    """All lines that are there already, up to about CHUNK bytes; False where the log's end is among them."""
    chunk, size = [first], len(first[2])
    while size < CHUNK and not queue.empty():
        line = queue.get_nowait()
        if line is None:
            return chunk, False
        chunk.append(line)
        size += len(line[2])
    return chunk, True
