"""The dispatcher: takes sessions in, follows the store for them, and answers for the parts they share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import aiohttp
import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from common import wire
from common.errors import Conflict, Forbidden, InvalidArgument, NotFound, ShoalError, Unavailable
from common.identity.tls import Peer, peer_of
from common.model import Node, Secret, Task
from manager.dispatcher import peer_endpoints
from manager.dispatcher.directory import Directory
from manager.dispatcher.liveness import Liveness, grace, rhythm
from manager.dispatcher.logs import unreachable
from manager.dispatcher.membership import Memberships, UnlockKey, concerns_all, concerns_itself
from manager.dispatcher.others import NoOthers, Others
from manager.dispatcher.session import Parts, Session
from manager.dispatcher.standing import Standing
from manager.dispatcher.status import StatusWriter
from manager.store.base import Changed, Store

PATH = "/shoal/v1/session"
HELLO = 10.0  # seconds in which a worker must have said who it is
FAREWELL = 1.0  # seconds that a worker may take to answer the end of its session
LARGEST = 64 << 20  # bytes in one message of a worker
CARE = 0.25  # seconds between two looks at all sessions
STOPS = "this manager stops"

log = structlog.get_logger()


class Dispatcher:
    """`routes()` go to the manager's servers, `run()` to its TaskGroup. `reveal` opens a secret on its way to a worker,
    `unlock_key` says by which key managers seal theirs, `others` are the cluster's other managers."""

    def __init__(
        self,
        store: Store,
        reveal: Callable[[Secret], Secret] = lambda secret: secret,
        unlock_key: UnlockKey = lambda cluster: None,
        others: Others | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = store.watch()
        self._others = others or NoOthers(store)
        self.standing = Standing(store, clock)
        self._sessions: dict[str, Session] = {}
        self._stopping = ""
        self._parts = Parts(
            store=store,
            directory=Directory(reveal),
            statuses=StatusWriter(store, self.standing),
            liveness=Liveness(store, clock, self._others, self.standing),
            memberships=Memberships(store, unlock_key),
            clock=clock,
            count=lambda: len(self._sessions),
        )

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._serve), *peer_endpoints.routes(self)]

    @property
    def sessions(self) -> frozenset[str]:
        """Ids of the nodes that have a session with this manager."""
        return frozenset(self._sessions)

    async def run(self) -> None:
        """Follow the store, write statuses, watch over the nodes. Ends all sessions when cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="dispatcher")
                group.create_task(self._parts.statuses.run(), name="task statuses")
                group.create_task(self._parts.liveness.run(), name="liveness")
                group.create_task(self.standing.run(), name="standing")
                group.create_task(self._care(), name="sessions")
        finally:
            await self.stop()

    async def stop(self, _: web.Application | None = None) -> None:
        """Tell all workers that this manager stops, and take no more in; fit for an application's `on_shutdown`."""
        self._stopping = STOPS
        self._close_all(STOPS)

    async def logs(self, task: Task, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None]:
        """The task's log, the last chunk with `end`; the request's id is made here. Raises Unavailable where the task's
        node has no session with any manager."""
        wanted = msgspec.structs.replace(options, task_id=task.id)
        found = self.own_log(task.node_id, wanted)
        try:
            async with aclosing(found or self._others.log(task.node_id, wanted)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except NotFound:
            raise unreachable(task.node_id) from None

    # -- for other managers

    def hear(self, nodes: Sequence[str]) -> bool:
        if self._others.leader() != "":
            return False
        self._parts.liveness.hear(nodes)
        return True

    async def speaks(self, node_id: str, instance: str) -> bool:
        session = self._sessions.get(node_id)
        if session is None or session.instance in ("", instance):
            return False
        return await session.speaks(1.5 * rhythm(self._store.view(), len(self._sessions))[0])

    def own_log(self, node_id: str, options: wire.LogRequest) -> AsyncGenerator[wire.LogChunk, None] | None:
        session = self._sessions.get(node_id)
        return session.logs.read(options) if session is not None else None

    # -- all sessions

    async def _follow(self) -> None:
        async for event in self._events:
            view = self._store.view()
            for changed in event.changes:
                self._parts.directory.mark(view, changed)
                self._mark_membership(changed)

    def _mark_membership(self, changed: Changed) -> None:
        self._parts.memberships.note(changed)
        if concerns_all(changed):
            for session in self._sessions.values():
                session.look_at_membership()
        elif concerns_itself(changed) and changed.object.id in self._sessions:
            self._sessions[changed.object.id].look_at_membership()

    async def _care(self) -> None:
        """End the sessions of workers that fell silent, and all of them where this manager may not serve them."""
        before = self._clock()
        floor = before
        while True:
            await asyncio.sleep(CARE)
            limit, now = grace(self._store.view()), self._clock()
            if now - before > CARE + limit / 5:
                floor = now  # this manager was frozen: it did not listen
            before = now
            if reason := self.standing.reason:
                self._close_all(f"{reason}: find another one")
            edge = now - limit
            if floor < edge:
                for session in [session for session in self._sessions.values() if session.heard < edge]:
                    session.close("nothing was heard of the node")

    def _close_all(self, reason: str) -> None:
        for session in self._sessions.values():
            session.close(reason)

    # -- one session

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=LARGEST, timeout=FAREWELL)
        try:
            await socket.prepare(request)
            await self._converse(socket, request.remote or "", peer_of(request))
        except* (ShoalError, msgspec.MsgspecError) as failures:
            await self._refuse(socket, failures.exceptions[0], peer_of(request))
        except* (OSError, aiohttp.ClientError):
            pass  # the connection is gone: the worker comes back
        return socket

    async def _converse(self, socket: web.WebSocketResponse, address: str, peer: Peer | None) -> None:
        hello = await self._hello(socket, peer)
        session = Session(socket, hello, self._parts)
        try:
            await session.run(address, self._admit)
        finally:
            if self._sessions.get(hello.node_id) is session:
                del self._sessions[hello.node_id]

    async def _admit(self, session: Session) -> None:
        """From now on the session is its node's. Raises Conflict where another machine has the node's identity."""
        await self._check_instance(session)
        self._sessions[session.node_id] = session

    async def _check_instance(self, session: Session) -> None:
        """A daemon that was started anew is another instance too, but the one before it says nothing any more."""
        node = self._store.view().get(Node, session.node_id)
        known = node.instance if node is not None and node.status.state == "ready" else ""
        if not session.instance or known in ("", session.instance):
            return
        if any(
            await asyncio.gather(
                self.speaks(session.node_id, session.instance),
                self._others.has_session(session.node_id, session.instance),
            )
        ):
            raise Conflict(
                f"another machine is node {session.node_id} too: `swarm leave --force` on one of them, then join it anew",
                ("node", session.node_id),
            )

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
        await self._check(hello.node_id)
        return hello

    async def _check(self, node_id: str) -> None:
        if reason := self._stopping or self.standing.reason:
            raise Unavailable(f"{reason}: find another one")
        if self._store.view().get(Node, node_id) is None:
            await self._store.barrier()
        if self._store.view().get(Node, node_id) is None:
            raise NotFound(f"node {node_id} is not part of this cluster", ("node", node_id))

    async def _refuse(self, socket: web.WebSocketResponse, error: BaseException, peer: Peer | None) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reason = error.message if isinstance(error, ShoalError) else f"the message makes no sense: {error}"
        about = {"node": peer.node_id} if peer else {}  # else it is this manager's own
        log.info("session refused", reason=reason, **about)
        later = isinstance(error, Unavailable)  # that is this manager's trouble, not the node's
        code = WSCloseCode.TRY_AGAIN_LATER if later else WSCloseCode.POLICY_VIOLATION
        await socket.close(code=code, message=reason.encode()[:120])
