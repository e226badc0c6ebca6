"""The dispatcher: takes sessions in, follows the store for them, and answers for the parts they share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import aiohttp
import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from common import wire
from common.errors import Forbidden, InvalidArgument, NotFound, ShoalError
from common.identity.tls import Peer, peer_of
from common.model import Node, Secret, Task
from manager.dispatcher.directory import Directory
from manager.dispatcher.liveness import Liveness
from manager.dispatcher.logs import unreachable
from manager.dispatcher.membership import Memberships, UnlockKey, concerns_all, concerns_itself
from manager.dispatcher.session import Session
from manager.dispatcher.status import StatusWriter
from manager.store.base import Changed, Store

PATH = "/shoal/v1/session"
HELLO = 10.0  # seconds in which a worker must have said who it is
PING = 10.0  # seconds between the WebSocket's own pings
FAREWELL = 1.0  # seconds that a worker may take to answer the end of its session
LARGEST = 64 << 20  # bytes in one message of a worker

log = structlog.get_logger()


class Dispatcher:
    """`routes()` go to the manager's server, `run()` to its TaskGroup. `reveal` opens a secret on its way to a worker,
    `unlock_key` says by which key managers seal theirs."""

    def __init__(
        self,
        store: Store,
        reveal: Callable[[Secret], Secret] = lambda secret: secret,
        unlock_key: UnlockKey = lambda cluster: None,
    ) -> None:
        self._store = store
        self._events = store.watch()
        self._directory = Directory(reveal)
        self._statuses = StatusWriter(store)
        self._liveness = Liveness(store, time.monotonic)
        self._memberships = Memberships(store, unlock_key)
        self._sessions: dict[str, Session] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._serve)]

    @property
    def sessions(self) -> frozenset[str]:
        """Ids of the nodes that have a session with this manager."""
        return frozenset(self._sessions)

    async def run(self) -> None:
        """Follow the store, write statuses, watch over the nodes. Ends all sessions when cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="dispatcher")
                group.create_task(self._statuses.run(), name="task statuses")
                group.create_task(self._liveness.run(), name="liveness")
        finally:
            for session in self._sessions.values():
                session.close("the manager stops")

    async def logs(self, task: Task, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None]:
        """The task's log, the last chunk with `end`; the request's id is made here. Raises Unavailable where the task's
        node has no session with this manager."""
        session = self._sessions.get(task.node_id)
        if session is None:
            raise unreachable(task.node_id)
        async with aclosing(session.logs.read(msgspec.structs.replace(options, task_id=task.id))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _follow(self) -> None:
        async for event in self._events:
            view = self._store.view()
            for changed in event.changes:
                self._directory.mark(view, changed)
                self._mark_membership(changed)

    def _mark_membership(self, changed: Changed) -> None:
        self._memberships.note(changed)
        if concerns_all(changed):
            for session in self._sessions.values():
                session.look_at_membership()
        elif concerns_itself(changed) and changed.object.id in self._sessions:
            self._sessions[changed.object.id].look_at_membership()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=PING, max_msg_size=LARGEST, timeout=FAREWELL)
        await socket.prepare(request)
        try:
            await self._converse(socket, request.remote or "", peer_of(request))
        except* (ShoalError, msgspec.MsgspecError) as failures:
            await self._refuse(socket, failures.exceptions[0])
        except* (OSError, aiohttp.ClientError):
            pass  # the connection is gone: the worker comes back
        return socket

    async def _converse(self, socket: web.WebSocketResponse, address: str, peer: Peer | None) -> None:
        hello = await self._hello(socket, peer)
        session = Session(
            socket, hello.node_id, self._store, self._directory, self._statuses, self._liveness, self._memberships
        )
        self._sessions[hello.node_id] = session
        try:
            await session.run(hello, address)
        finally:
            if self._sessions.get(hello.node_id) is session:
                del self._sessions[hello.node_id]

    async def _hello(self, socket: web.WebSocketResponse, peer: Peer | None) -> wire.Hello:
        try:
            frame = await socket.receive(HELLO)
        except TimeoutError:
            raise InvalidArgument(f"no Hello within {HELLO:.0f} seconds") from None
        if frame.type is not WSMsgType.BINARY:
            raise InvalidArgument("a session begins with a Hello in one binary message")
        hello = wire.decode_from_worker(frame.data)
        if not isinstance(hello, wire.Hello):
            raise InvalidArgument(f"a session begins with Hello, not {type(hello).__name__}")
        if hello.protocol != wire.PROTOCOL:
            raise InvalidArgument(f"the worker speaks protocol {hello.protocol}, this manager {wire.PROTOCOL}")
        if peer is not None and peer.node_id != hello.node_id:
            raise Forbidden(f"the certificate is that of node {peer.node_id}, not of {hello.node_id}")
        if self._store.view().get(Node, hello.node_id) is None:
            raise NotFound(f"node {hello.node_id} is not part of this cluster", ("node", hello.node_id))
        return hello

    async def _refuse(self, socket: web.WebSocketResponse, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reason = error.message if isinstance(error, ShoalError) else f"the message makes no sense: {error}"
        log.info("session refused", reason=reason)
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason.encode()[:120])
