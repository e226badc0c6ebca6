"""The worker's side of the control plane: one session with a manager at a time, and the tasks that come of it.

Assignments go to disk before anything is done about them, so a worker that restarts, with or without managers, knows
its tasks and finds their containers again. Which manager it is, dialing.py finds out; which cluster, the Membership says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import structlog
from msgspec.structs import replace

from common import wire
from common.errors import ShoalError
from common.ids import object_id
from common.model import NodeDescription
from worker.engine.node import Engine
from worker.session.agent import Agent
from worker.session.assignments import AssignmentSet
from worker.session.base import Membership, TaskHost
from worker.session.description import describe
from worker.session.dialing import FAILURES, Dialer
from worker.session.host import ContainerHost
from worker.session.link import Link, Refused, connect
from worker.session.logs import LogSender
from worker.session.measures import Measures
from worker.session.outbox import Outbox
from worker.session.services import ServiceNetworks

log = structlog.get_logger()


class Session:
    """`run()` until cancelled. Stopping it touches no container."""

    def __init__(
        self, engine: Engine, membership: Membership, host: TaskHost | None = None, measures: Measures | None = None
    ) -> None:
        settings = engine.settings
        self._settings = settings
        self._membership = membership
        self._instance = object_id()
        self._networks = engine.networks
        self._host = host or ContainerHost(engine)
        self._measures = measures or Measures()
        self._set = AssignmentSet(settings.root / "session" / "assignments")
        self._outbox = Outbox()
        self._arrived = asyncio.Event()
        self._assigning = asyncio.Lock()
        self._report_all = False
        self._trouble = ""  # why the last session ended
        self._forget = asyncio.Event()
        self._forgotten = asyncio.Event()

    async def run(self) -> None:
        self._set.load()
        found = await self._host.observe()
        async with asyncio.TaskGroup() as group:
            services = ServiceNetworks(self._networks, lambda: agent.networks_in_use())
            agent = Agent(
                self._host, found, self._outbox, group, services.look_again, services.caught_up, self._measures
            )
            group.create_task(agent.watch(), name="watch containers")
            group.create_task(services.run(), name="service networks")
            self._arrived.set()
            group.create_task(self._assign(agent, services), name="assign")
            while True:
                await self._live(agent)
                if self._forget.is_set():
                    await self._end_all(agent, services)

    async def forget(self) -> None:
        """For a node that leaves its cluster: end and remove its tasks; return once their containers and networks are gone.

        There is no session meanwhile; the next one is with whatever managers the node has then.
        """
        self._forgotten.clear()
        self._forget.set()
        await self._forgotten.wait()

    # -- assignments

    async def _assign(self, agent: Agent, services: ServiceNetworks) -> None:
        """Bring what has arrived to disk, then to the agent; messages that arrive meanwhile are taken together."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            async with self._assigning:
                await self._take_up(agent, services)

    async def _take_up(self, agent: Agent, services: ServiceNetworks) -> None:
        current, confirmed = self._set.current, self._set.confirmed
        report_all, self._report_all = self._report_all, False
        if confirmed:
            await self._keep()
        services.update(current)
        agent.assign(current, confirmed=confirmed)
        if report_all:
            agent.report_all()

    async def _keep(self) -> None:
        """A full disk stops no service: the tasks are worked on, and kept with the next change."""
        try:
            await asyncio.to_thread(self._set.save)
        except OSError as error:
            log.error("assignments could not be kept on disk", error=str(error))

    async def _end_all(self, agent: Agent, services: ServiceNetworks) -> None:
        self._set.clear()
        async with self._assigning:
            await self._take_up(agent, services)
        await agent.idle()
        services.update(self._set.current)
        await services.caught_up()
        self._forget.clear()
        self._forgotten.set()

    # -- sessions

    async def _live(self, agent: Agent) -> None:
        """Sessions for as long as the node is who it is, in the cluster where it is."""
        await _first(self._membership.changed(), self._forget.wait(), self._keep_connected(agent))
        log.info("the node begins anew", node=self._membership.node_id)
        self._set.doubt()
        self._outbox.clear()

    async def _keep_connected(self, agent: Agent) -> None:
        dialer = Dialer(self._membership.managers, self._open)
        while True:
            link = await dialer.dial()
            try:
                log.info("session begins", manager=link.address)
                self._measures.sessions += 1
                self._measures.connected = True
                await self._talk(link, agent, dialer)
            except* FAILURES as errors:
                self._note_end(link, errors.exceptions[0])
            finally:
                self._measures.connected = False
                await link.close()
            _stay_cancelled()

    def _note_end(self, link: Link, error: BaseException) -> None:
        """That managers come and go is no trouble; that they refuse this node is, and is told once."""
        tell = log.warning if isinstance(error, ShoalError) and str(error) != self._trouble else log.info
        self._trouble = str(error)
        if isinstance(error, Refused):
            self._membership.refused(self._trouble)
        tell("session ended", manager=link.address, error=self._trouble)

    async def _open(self, address: str, limit: float) -> Link:
        hello = wire.Hello(
            node_id=self._membership.node_id,
            description=self._describe(),
            digest=self._set.digest(),
            sequence=self._set.sequence,
            guests=[*self._networks.guests()],
            instance=self._instance,
        )
        try:
            return await connect(address, hello, self._membership.client_context(), limit)
        except Refused as error:
            self._membership.refused(error.message)
            raise

    def _describe(self) -> NodeDescription:
        member = self._membership
        return replace(describe(self._settings), tls_info=member.tls_info(), data_path=member.data_path())

    async def _talk(self, link: Link, agent: Agent, dialer: Dialer) -> None:
        """Raises Unavailable or ConnectionError when the session has ended."""
        self._set.begin()
        async with asyncio.TaskGroup() as group:
            logs = LogSender(self._host, agent, group, link.send)
            group.create_task(link.beat(self._describe, self._membership.tls_info), name="beat")
            group.create_task(link.listen(lambda: len(self._membership.managers()) > 1), name="listen")
            group.create_task(self._send_statuses(link), name="send statuses")
            async for message in link.messages():
                self._receive(message, logs, dialer)

    def _receive(self, message: wire.FromManager, logs: LogSender, dialer: Dialer) -> None:
        match message:
            case wire.Complete() | wire.Incremental():
                if self._set.apply(message):
                    self._report_all = True
                    dialer.worked()
                    self._membership.refused("")
                self._arrived.set()
            case wire.Membership():
                self._membership.told(message)
            case wire.LogRequest():
                logs.start(message)
            case wire.LogMore():
                logs.more(message.id)
            case wire.LogCancel():
                logs.cancel(message.id)

    async def _send_statuses(self, link: Link) -> None:
        while True:
            await link.send(await self._outbox.take())


def _stay_cancelled() -> None:
    """A TaskGroup that fails while it is being cancelled tells of its failure alone (Python 3.11)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _first(*works: Awaitable[object]) -> None:
    """Until one of them ends; the others are cancelled. Raises what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
