"""One worker's session over one WebSocket: a reader that hands on what comes, a writer that sends what is due.

The writer alone waits for the connection: what changes meanwhile is only marked, so a slow worker costs no memory.
"""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import WSCloseCode, WSMsgType, web

from common import wire
from manager.dispatcher.directory import Directory
from manager.dispatcher.liveness import Liveness, period
from manager.dispatcher.logs import Control, LogStreams
from manager.dispatcher.membership import Memberships
from manager.dispatcher.node_set import NodeSet
from manager.dispatcher.status import StatusWriter
from manager.store.base import Store

GATHER = 0.02  # seconds after a message in which changes are collected for the next one
ENOUGH = 100  # changes that do not wait any longer


class Session:
    """Open from Hello to the end of the connection. `store`, `statuses` and `liveness` are the dispatcher's."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        node_id: str,
        store: Store,
        directory: Directory,
        statuses: StatusWriter,
        liveness: Liveness,
        memberships: Memberships,
    ) -> None:
        self.node_id = node_id
        self.logs = LogStreams(self._control)
        self._socket = socket
        self._store = store
        self._directory = directory
        self._statuses = statuses
        self._liveness = liveness
        self._memberships = memberships
        self._membership: wire.Membership | None = None  # as it was told
        self._membership_due = True
        self._beat_due = False
        self._set = NodeSet(node_id, directory, self._wake_up, self.close)
        self._controls: deque[Control] = deque()
        self._wake = asyncio.Event()
        self._closed = ""
        self._sequence = 0

    def look_at_membership(self) -> None:
        """It may be another one now."""
        self._membership_due = True
        self._wake_up()

    def close(self, reason: str) -> None:
        """End the session; the worker hears why."""
        self._closed = reason
        self._wake_up()

    async def run(self, hello: wire.Hello, address: str) -> None:
        """Serve until either side ends it."""
        await self._liveness.arrived(self.node_id, hello, address)
        self._directory.enter(self._set)
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(hello), name=f"session of {self.node_id}")
                await self._read()
                writer.cancel()
        finally:
            self._directory.leave(self._set)
            self._set.leave()
            self.logs.close()

    # -- from the worker

    async def _read(self) -> None:
        async for frame in self._socket:
            if frame.type is WSMsgType.BINARY:
                await self._receive(wire.decode_from_worker(frame.data))

    async def _receive(self, message: wire.FromWorker) -> None:
        self._liveness.beat(self.node_id)
        match message:
            case wire.Beat():
                self._beat_due = True
                self._wake_up()
            case wire.StatusBatch():
                self._statuses.put(self.node_id, message.updates)
            case wire.Report():
                await self._liveness.describe(self.node_id, message.description)
            case wire.LogChunk():
                self.logs.receive(message)

    # -- to the worker

    def _wake_up(self) -> None:
        self._wake.set()

    def _control(self, message: Control) -> None:
        self._controls.append(message)
        self._wake_up()

    async def _write(self, hello: wire.Hello) -> None:
        await self._send(wire.Welcome(node_id=self.node_id, heartbeat=period(self._store.view())))
        await self._tell_membership()
        await self._send(self._first(hello.digest))
        while not self._closed:
            await self._wake.wait()
            self._wake.clear()
            await self._answer_beat()
            await self._tell_membership()
            while self._controls:
                await self._send(self._controls.popleft())
            if self._set.pending:
                await self._send_changes()
        await self._socket.close(code=WSCloseCode.GOING_AWAY, message=self._closed.encode()[:120])

    async def _answer_beat(self) -> None:
        """One answer is enough for all that came: it says that this manager lives."""
        if self._beat_due:
            self._beat_due = False
            await self._send(wire.Beat())

    async def _tell_membership(self) -> None:
        if not self._membership_due:
            return
        self._membership_due = False
        told = self._memberships.of(self.node_id)
        if told is not None and told != self._membership:
            self._membership = told
            await self._send(told)

    def _first(self, digest: str) -> wire.Message:
        """Everything, or nothing new where the worker has everything already."""
        assignments = self._set.complete(self._store.view())
        self._sequence = 1
        if digest and digest == wire.digest(assignments):
            return wire.Incremental(sequence=1)
        return wire.Complete(sequence=1, assignments=assignments)

    async def _send_changes(self) -> None:
        changed, removed = self._set.take(self._store.view())
        if changed == wire.Assignments() and not removed:
            return
        self._sequence += 1
        await self._send(wire.Incremental(sequence=self._sequence, changed=changed, removed=removed))
        await self._gather()

    async def _gather(self) -> None:
        """Let changes collect for a while, unless there are many, or something else is due."""
        loop = asyncio.get_running_loop()
        until = loop.time() + GATHER
        while self._set.pending < ENOUGH and not self._controls and not self._closed and not self._beat_due:
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                break
            self._wake.clear()
        self._wake_up()

    async def _send(self, message: wire.Message) -> None:
        await self._socket.send_bytes(wire.encode(message))
