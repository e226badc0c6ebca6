"""What the control plane decided about networks, brought to this node: who is where, VIPs, DNS names and
published ports of services.

A network itself is made known when a task that needs it is prepared (host.py), and forgotten here when it is neither
assigned nor in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import structlog

from common.errors import ShoalError
from common.wire import Assignments, Peer, ServiceEndpoint
from worker.network.base import ClusterNetworks

RETRY = 2.0  # seconds after which a change that failed is tried again, if none comes before

log = structlog.get_logger()


class ServiceNetworks:
    """Programs the latest set only: sets that are overtaken while one is being programmed are skipped."""

    def __init__(self, networks: ClusterNetworks, in_use: Callable[[], set[str]]) -> None:
        self._networks = networks
        self._in_use = in_use
        self._wanted = Assignments()
        self._changed = asyncio.Event()
        self._asked = self._tried = 0  # updates that came, and how many of them were programmed or failed to be
        self._round = asyncio.Event()
        self._programmed: dict[str, ServiceEndpoint] | None = None
        self._reached: dict[str, Peer] | None = None

    def update(self, assignments: Assignments) -> None:
        self._wanted = assignments
        self._asked += 1
        self._changed.set()

    def look_again(self) -> None:
        """A task is gone, and with it perhaps the last need of a network."""
        self._changed.set()

    async def caught_up(self) -> None:
        """Return once the updates so far are programmed, or have failed to be: whatever waits for them cannot wait for ever."""
        asked = self._asked
        while self._tried < asked:
            await self._round.wait()

    async def run(self) -> None:
        """Follow the updates, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            asked = self._asked
            done = await self._apply(self._wanted)
            self._tried = asked
            self._round.set()
            self._round = asyncio.Event()
            if not done:
                await self._rest()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), RETRY)
        self._changed.set()

    async def _apply(self, wanted: Assignments) -> bool:
        """False where a part failed: the others are done all the same.

        What nobody needs goes first: new networks may have its subnets, those of a cluster just joined do. Names and service
        addresses come last, when what they lead to can be reached.
        """
        steps = [partial(self._networks.forget_idle, self._needed)]
        steps += [partial(self._networks.ensure, network) for network in wanted.networks.values()]
        steps += [partial(self._reach, wanted.peers), partial(self._program, wanted.endpoints)]
        return all([await _try(step) for step in steps])

    def _needed(self) -> set[str]:
        return self._in_use() | self._wanted.networks.keys()

    async def _reach(self, peers: dict[str, Peer]) -> None:
        if peers != self._reached:
            await self._networks.reach(list(peers.values()))
            self._reached = peers

    async def _program(self, endpoints: dict[str, ServiceEndpoint]) -> None:
        if endpoints != self._programmed:
            await self._networks.program(list(endpoints.values()))
            self._programmed = endpoints


async def _try(step: Callable[[], Awaitable[None]]) -> bool:
    try:
        await step()
    except (ShoalError, OSError) as error:
        log.error("service networks could not be programmed", error=str(error))
        return False
    return True
