"""Logs of tasks on request: each request goes to the session of the task's node, its chunks come back to who asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

import msgspec

from common.errors import InvalidArgument, Unavailable
from common.ids import object_id
from common.wire import LOG_WINDOW, LogCancel, LogChunk, LogMore, LogRequest

Control = LogRequest | LogMore | LogCancel


class LogStreams:
    """The requests that are open on one session."""

    def __init__(self, send: Callable[[Control], None]) -> None:
        self._send = send
        self._open: dict[str, asyncio.Queue[LogChunk]] = {}

    def receive(self, chunk: LogChunk) -> None:
        """Raises InvalidArgument where the worker sends more than the reader has room for."""
        queue = self._open.get(chunk.id)
        if queue is not None and queue.qsize() > LOG_WINDOW:
            raise InvalidArgument(f"more than {LOG_WINDOW} chunks of one log at once")
        if queue is not None:
            queue.put_nowait(chunk)

    def close(self) -> None:
        """The session is over: so are its streams."""
        for id, queue in self._open.items():
            queue.put_nowait(LogChunk(id=id, end=True, error="the connection to the task's node was lost"))

    async def read(self, options: LogRequest) -> AsyncGenerator[LogChunk, None]:
        """The chunks of one log, up to and with the one that ends it."""
        request = msgspec.structs.replace(options, id=object_id())
        with self._stream(request) as queue:
            while True:
                chunk = await queue.get()
                yield chunk
                if chunk.end:
                    return
                self._send(LogMore(id=request.id))

    @contextmanager
    def _stream(self, request: LogRequest) -> Iterator[asyncio.Queue[LogChunk]]:
        queue = self._open[request.id] = asyncio.Queue()
        self._send(request)
        try:
            yield queue
        finally:
            del self._open[request.id]
            self._send(LogCancel(id=request.id))


def unreachable(node_id: str) -> Unavailable:
    return Unavailable(
        f"node {node_id} is not connected to this manager: its logs cannot be read now", ("node", node_id)
    )
