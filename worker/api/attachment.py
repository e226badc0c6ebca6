"""One client attached to one process: bytes both ways until either ends, or the client types the detach keys.

Serves attach and exec, over hijacked connections and web sockets. A client that does not fetch its output is spooled, then
dropped; the process never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from worker.api.detach import DetachFilter
from worker.runtime.base import Streams
from worker.runtime.spool import Overflow, Spool


class Client(Protocol):
    """The other end: worker.api.http.Hijacked, or a web socket."""

    async def read(self) -> bytes:
        """b"" at the end of its input. Raises ConnectionError where it is gone."""

    async def send(self, data: bytes) -> None: ...

    async def frame(self, stream: int, data: bytes) -> None: ...


class Ending(Enum):
    """Why an attachment is over."""

    ENDED = auto()  # the process closed its output, all of it was sent
    DETACHED = auto()  # the client typed the detach keys
    GONE = auto()  # the client went away
    SLOW = auto()  # the client lagged behind too far


@dataclass(frozen=True)
class Wishes:
    """What the client asked for. `half_close`: the end of its input is the end of the process's stdin."""

    multiplexed: bool
    stdin: bool = False
    outputs: Collection[int] = (1, 2)
    half_close: bool = False
    keys: bytes = b""  # empty: none are looked for


class Attachment:
    """`run()` once; the streams are closed afterwards. `spool` is the folder for what slow clients have not fetched."""

    def __init__(self, client: Client, streams: Streams, wishes: Wishes, spool: Path) -> None:
        self._client = client
        self._streams = streams
        self._wishes = wishes
        self._spool = Spool(spool)
        self._over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def run(self, connection: int | None = None) -> Ending:
        """`connection` is the client's socket, where its going away can be seen there."""
        try:
            with _hang_up(connection, lambda: self._end(Ending.GONE)):
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._drain()), group.create_task(self._send())]
                    if self._wishes.stdin:
                        tasks.append(group.create_task(self._input()))
                    ending = await self._over
                    for task in tasks:
                        task.cancel()
            return ending
        finally:
            self._spool.close()
            self._streams.close()

    def _end(self, ending: Ending) -> None:
        if not self._over.done():
            self._over.set_result(ending)

    async def _drain(self) -> None:
        try:
            while (piece := await self._streams.read()) is not None:
                if piece[0] in self._wishes.outputs:
                    self._spool.put(*piece)
            self._spool.end()
        except Overflow:
            self._end(Ending.SLOW)

    async def _send(self) -> None:
        try:
            while (piece := await self._spool.get()) is not None:
                await (self._client.frame(*piece) if self._wishes.multiplexed else self._client.send(piece[1]))
            self._end(Ending.ENDED)
        except ConnectionError:
            self._end(Ending.GONE)

    async def _input(self) -> None:
        """The client's input to the process. Its end is no end of the attachment: output goes on."""
        keys = DetachFilter(self._wishes.keys) if self._wishes.keys else None
        try:
            while data := await self._client.read():
                passed, detached = keys.feed(data) if keys else (data, False)
                await self._pass_on(passed)
                if detached:
                    self._end(Ending.DETACHED)
                    return
        except ConnectionError:
            self._end(Ending.GONE)
            return
        if self._wishes.half_close:
            self._streams.close_stdin()

    async def _pass_on(self, data: bytes) -> None:
        """Write to stdin. Where the process has ended, what is left of its output is still sent."""
        with contextlib.suppress(ConnectionError):
            await self._streams.write(data)


@contextmanager
def _hang_up(connection: int | None, callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` when the socket's other end is closed for good (a half-closed one is not)."""
    if connection is None:
        yield
        return
    loop = asyncio.get_running_loop()
    with select.epoll() as poll:
        poll.register(connection, 0)  # a hang-up is always told

        def hung_up() -> None:
            loop.remove_reader(poll.fileno())
            callback()

        loop.add_reader(poll.fileno(), hung_up)
        try:
            yield
        finally:
            loop.remove_reader(poll.fileno())
