"""One worker's session over one WebSocket: a reader that hands on what comes, a writer that sends what is due.

The writer alone waits for the connection: what changes meanwhile is only marked, so a slow worker costs no memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from common import wire
from common.errors import NoSpace, Unavailable
from manager.dispatcher.directory import Directory
from manager.dispatcher.liveness import Liveness, rhythm
from manager.dispatcher.logs import Control, LogStreams
from manager.dispatcher.membership import Memberships
from manager.dispatcher.node_set import NodeSet
from manager.dispatcher.status import StatusWriter
from manager.store.base import Store

GATHER = (
    0.02,
    0.5,
)  # seconds after a message in which changes are collected for the next one: among few sessions, and at most
MESSAGES = 20_000  # that all sessions together may want to send in a second, about
ENOUGH = 100  # changes that do not wait any longer
RETRY = 0.5  # seconds until a node's arrival is written again that no quorum took

BEAT = wire.encode(wire.Beat())

log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """What all sessions of a dispatcher share. `count`: how many they are."""

    store: Store
    directory: Directory
    statuses: StatusWriter
    liveness: Liveness
    memberships: Memberships
    clock: Callable[[], float]
    count: Callable[[], int]


class Session:
    """Open from Hello to the end of the connection. `admit` is called once the worker is welcomed: it raises where the
    session may not go on. The parts are the dispatcher's."""

    def __init__(self, socket: web.WebSocketResponse, hello: wire.Hello, parts: Parts) -> None:
        self.node_id = hello.node_id
        self.instance = hello.instance
        self.logs = LogStreams(self._control)
        self.heard = parts.clock()
        self._hello = hello
        self._socket = socket
        self._parts = parts
        self._set = NodeSet(hello.node_id, parts.directory, self._marked, self.close)
        self._controls: deque[Control] = deque()
        self._wake = asyncio.Event()
        self._spoken = asyncio.Event()  # since somebody asked whether the worker lives
        self._begun = False
        self._closed = ""
        self._sequence = 0
        self._beat_due = False
        self._sending = self._gathering = False
        self._membership: wire.Membership | None = None  # as it was told
        self._membership_due = True

    def look_at_membership(self) -> None:
        """It may be another one now."""
        self._membership_due = True
        self._wake_up()

    def close(self, reason: str) -> None:
        """End the session; the worker hears why."""
        self._closed = reason
        self._wake_up()

    async def speaks(self, within: float) -> bool:
        """Whether the worker says something within that many seconds."""
        self._spoken.clear()
        try:
            async with asyncio.timeout(within):
                await self._spoken.wait()
        except TimeoutError:
            return False
        return True

    async def run(self, address: str, admit: Callable[[Session], Awaitable[None]]) -> None:
        """Serve until either side ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(), name=f"session of {self.node_id}")
                begin = group.create_task(self._begin(address, admit), name=f"beginning of {self.node_id}'s session")
                await self._read()
                writer.cancel()
                begin.cancel()
        finally:
            self._parts.directory.leave(self._set)
            self._set.leave()
            self.logs.close()

    async def _begin(self, address: str, admit: Callable[[Session], Awaitable[None]]) -> None:
        """Bring the view up to date: a manager that is behind would take tasks from the worker that another gave it."""
        await admit(self)
        self._parts.directory.enter(self._set)
        await self._parts.store.barrier()
        self._begun = True
        self._wake_up()
        await self._introduce(address)

    async def _introduce(self, address: str) -> None:
        while True:
            try:
                return await self._parts.liveness.arrived(self.node_id, self._hello, address)
            except (Unavailable, NoSpace) as error:
                log.warning("a node's session is not noted yet", node=self.node_id, reason=error.message)
            await asyncio.sleep(RETRY)

    # -- from the worker

    async def _read(self) -> None:
        async for frame in self._socket:
            if frame.type is WSMsgType.BINARY:
                self.heard = self._parts.clock()
                self._spoken.set()
                await self._receive(wire.decode_from_worker(frame.data))

    async def _receive(self, message: wire.FromWorker) -> None:
        if self._begun:
            self._parts.liveness.beat(self.node_id)
        match message:
            case wire.Beat():
                await self._answer()
            case wire.StatusBatch():
                self._parts.statuses.put(self.node_id, message.updates)
            case wire.Report():
                await self._parts.liveness.describe(self.node_id, message.description)
            case wire.LogChunk():
                self.logs.receive(message)

    # -- to the worker

    def _wake_up(self) -> None:
        self._wake.set()

    def _marked(self) -> None:
        if not self._gathering or self._set.pending >= ENOUGH:
            self._wake_up()

    def _control(self, message: Control) -> None:
        self._controls.append(message)
        self._wake_up()

    async def _write(self) -> None:
        parts = self._parts
        beat, silence = rhythm(parts.store.view(), parts.count())
        await self._send(wire.Welcome(node_id=self.node_id, heartbeat=beat, silence=silence))
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            await self._answer_beat()
            if not self._begun:
                continue
            await self._tell_membership()
            while self._controls:
                await self._send(self._controls.popleft())
            if not self._sequence:
                await self._send(self._first(self._hello.digest))
            if self._set.pending:
                await self._send_changes()
        self._sending = True
        await self._socket.close(code=WSCloseCode.GOING_AWAY, message=self._closed.encode()[:120])

    async def _answer(self) -> None:
        """The worker sent a beat: answer at once where the connection is free, as it nearly always is."""
        if self._sending:
            self._beat_due = True
            self._wake_up()
        else:
            await self._socket.send_bytes(BEAT)

    async def _answer_beat(self) -> None:
        """One answer is enough for all that came: it says that this manager lives."""
        if self._beat_due:
            self._beat_due = False
            await self._send(wire.Beat())

    async def _tell_membership(self) -> None:
        if not self._membership_due:
            return
        self._membership_due = False
        told = self._parts.memberships.of(self.node_id)
        if told is not None and told != self._membership:
            self._membership = told
            await self._send(told)

    def _first(self, digest: str) -> wire.Message:
        """Everything, or nothing new where the worker has everything already."""
        assignments = self._set.complete(self._parts.store.view())
        self._sequence = 1
        if digest and digest == wire.digest(assignments):
            return wire.Incremental(sequence=1)
        return wire.Complete(sequence=1, assignments=assignments)

    async def _send_changes(self) -> None:
        changed, removed = self._set.take(self._parts.store.view())
        if changed == wire.Assignments() and not removed:
            return
        self._sequence += 1
        await self._send(wire.Incremental(sequence=self._sequence, changed=changed, removed=removed))
        await self._gather()

    async def _gather(self) -> None:
        """Let changes collect for a while, unless there are many, or something else is due."""
        self._wake.clear()
        if not (
            self._set.pending >= ENOUGH or self._controls or self._closed or self._beat_due or self._membership_due
        ):
            self._gathering = True
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(GATHER[0], self._parts.count() / MESSAGES), GATHER[1])):
                    await self._wake.wait()
            self._gathering = False
        self._wake_up()

    async def _send(self, message: wire.Message) -> None:
        self._sending = True
        await self._socket.send_bytes(wire.encode(message))
        self._sending = False
