"""The worker's side of the control plane: one session with a manager at a time, and the tasks that come of it.

Assignments go to disk before anything is done about them, so a worker that restarts, with or without managers, knows
its tasks and finds their containers again.
"""

from __future__ import annotations

import asyncio
import random

import aiohttp
import msgspec
import structlog

from common import wire
from common.errors import ShoalError
from common.model import NodeDescription
from worker.engine.node import Engine
from worker.session.agent import Agent
from worker.session.assignments import AssignmentSet
from worker.session.base import TaskHost
from worker.session.description import describe
from worker.session.host import ContainerHost
from worker.session.link import Link, connect
from worker.session.logs import LogSender
from worker.session.outbox import Outbox
from worker.session.services import ServiceNetworks

BACKOFF = (0.05, 5.0)  # seconds: first and longest pause between tries to reach a manager

log = structlog.get_logger()


class Session:
    """`run()` until cancelled. Stopping it touches no container."""

    def __init__(self, engine: Engine, node_id: str, host: TaskHost | None = None) -> None:
        settings = engine.settings
        self._settings = settings
        self._node_id = node_id
        self._networks = engine.networks
        self._host = host or ContainerHost(engine)
        self._addresses = [f"unix://{settings.manager_socket}"]
        self._set = AssignmentSet(settings.root / "session" / "assignments")
        self._outbox = Outbox()
        self._arrived = asyncio.Event()
        self._report_all = False

    async def run(self) -> None:
        self._set.load()
        found = await self._host.observe()
        async with asyncio.TaskGroup() as group:
            services = ServiceNetworks(self._networks, lambda: agent.networks_in_use())
            agent = Agent(self._host, found, self._outbox, group, services.look_again, services.caught_up)
            group.create_task(agent.watch(), name="watch containers")
            group.create_task(services.run(), name="service networks")
            self._arrived.set()
            group.create_task(self._assign(agent, services), name="assign")
            await self._keep_connected(agent)

    async def _assign(self, agent: Agent, services: ServiceNetworks) -> None:
        """Bring what has arrived to disk, then to the agent; messages that arrive meanwhile are taken together."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
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

    async def _keep_connected(self, agent: Agent) -> None:
        pause, longest = BACKOFF
        while True:
            for address in self._addresses:
                if await self._converse(address, agent):
                    pause = BACKOFF[0]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 1.5, longest)

    async def _converse(self, address: str, agent: Agent) -> bool:
        """One session; True where the manager had welcomed us before it ended."""
        welcomed = False
        try:
            async with connect(address, self._hello()) as link:
                welcomed = True
                log.info("session begins", manager=address)
                await self._talk(link, agent)
        except* (ShoalError, OSError, aiohttp.ClientError, msgspec.MsgspecError) as errors:
            # A manager that is not there yet is no news: its child process starts beside this one.
            tell = log.info if welcomed else log.debug
            tell("session ended", manager=address, error=str(errors.exceptions[0]))
        return welcomed

    def _describe(self) -> NodeDescription:
        return describe(self._settings)

    def _hello(self) -> wire.Hello:
        return wire.Hello(
            node_id=self._node_id,
            description=self._describe(),
            digest=self._set.digest(),
            sequence=self._set.sequence,
            guests=[*self._networks.guests()],
        )

    async def _talk(self, link: Link, agent: Agent) -> None:
        """Raises Unavailable or ConnectionError when the session has ended."""
        self._set.begin()
        if link.welcome.managers:
            self._addresses = [self._addresses[0], *link.welcome.managers]
        async with asyncio.TaskGroup() as group:
            logs = LogSender(self._host, agent, group, link.send)
            group.create_task(link.beat(self._describe), name="beat")
            group.create_task(self._send_statuses(link), name="send statuses")
            async for message in link.messages():
                self._receive(message, logs)
            raise ConnectionResetError("the manager closed the session")

    def _receive(self, message: wire.FromManager, logs: LogSender) -> None:
        match message:
            case wire.Complete() | wire.Incremental():
                self._report_all |= self._set.apply(message)
                self._arrived.set()
            case wire.LogRequest():
                logs.start(message)
            case wire.LogMore():
                logs.more(message.id)
            case wire.LogCancel():
                logs.cancel(message.id)

    async def _send_statuses(self, link: Link) -> None:
        while True:
            await link.send(await self._outbox.take())
