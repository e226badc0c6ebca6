"""Finding a manager: this node's own first, then the others in random order, until one of them takes the session in.

Managers are tried one after the other, but none is waited for long: while one hangs the next is tried beside it, and the
first that welcomes the node has it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
import msgspec
import structlog

from common.errors import ShoalError
from worker.session.link import Link

PATIENCE = (0.5, 10.0)  # seconds: for one manager's Welcome in the first round, and at most; it doubles each round
PAUSE = (0.05, 2.0)  # seconds: between rounds, at first and at most
FAILURES = (ShoalError, OSError, aiohttp.ClientError, msgspec.MsgspecError)

Open = Callable[[str, float], Awaitable[Link]]  # address, seconds

log = structlog.get_logger()


class Dialer:
    """`open` makes one session; `managers` says where, best first."""

    def __init__(self, managers: Callable[[], Sequence[str]], open: Open) -> None:
        self._managers = managers
        self._open = open
        self._lost = ""  # the manager of the last session
        self._pause, self._patience = PAUSE[0], PATIENCE[0]
        self._told = ""

    def worked(self) -> None:
        """The present session is a good one: the next search begins fresh."""
        self._pause, self._patience, self._told = PAUSE[0], PATIENCE[0], ""

    async def dial(self) -> Link:
        """A session with any manager, however long that takes."""
        await asyncio.sleep(self._pause * random.random())  # all of a lost manager's workers come at once
        while True:
            link = await self._round(order(self._managers(), self._lost))
            self._slow_down()
            if link is not None:
                self._lost = link.address
                return link
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))

    def _slow_down(self) -> None:
        self._pause = min(self._pause * 1.5, PAUSE[1])
        self._patience = min(self._patience * 2, PATIENCE[1])

    async def _round(self, addresses: list[str]) -> Link | None:
        """The first session that one of them grants; None where none does."""
        trying: set[asyncio.Task[Link | None]] = set()
        try:
            while addresses or trying:
                if addresses:
                    trying.add(asyncio.create_task(self._try(addresses.pop(0)), name="dial a manager"))
                wait = self._patience / 2 if addresses else None
                done, trying = await asyncio.wait(trying, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                found = [link for link in (task.result() for task in done) if link is not None]
                for link in found[1:]:
                    await link.close()
                if found:
                    return found[0]
            return None
        finally:
            await _drop(trying)

    async def _try(self, address: str) -> Link | None:
        try:
            return await self._open(address, self._patience)
        except FAILURES as error:
            self._complain(address, error)
            return None

    def _complain(self, address: str, error: Exception) -> None:
        """A reason is told once. That a manager is not there yet is no news: a node's own starts beside its worker."""
        reason = str(error) or type(error).__name__
        tell = log.warning if isinstance(error, ShoalError) and reason != self._told else log.debug
        tell("no session", manager=address, error=reason)
        if isinstance(error, ShoalError):
            self._told = reason


async def _drop(trying: set[asyncio.Task[Link | None]]) -> None:
    for task in trying:
        task.cancel()
    for result in await asyncio.gather(*trying, return_exceptions=True):
        if isinstance(result, Link):
            await result.close()


def order(managers: Sequence[str], lost: str) -> list[str]:
    """The node's own manager first, the others as chance has it; the one whose session ended just now last of all."""
    others = [address for address in managers if not address.startswith("unix://")]
    random.shuffle(others)
    own = [address for address in managers if address.startswith("unix://")]
    return sorted([*own, *others], key=lambda address: address == lost)
