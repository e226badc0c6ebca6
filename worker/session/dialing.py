"""Finding a manager: this node's own first, then the others in random order, until one of them takes the session in.

Managers are tried one after the other, but none is waited for long: while one hangs the next is tried beside it, and the
first that welcomes the node has it. A try goes on while others begin: a manager that all nodes come to at once is slow, and
would be slower if each of them gave up and came again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence

import aiohttp
import msgspec
import structlog

from common.errors import ShoalError
from worker.session.link import Link

STAGGER = 0.25  # seconds that a manager is waited for before the next one is tried beside it
PATIENCE = 30.0  # seconds: for one manager's Welcome
PAUSE = (0.05, 2.0)  # seconds: between rounds, at first and at most
FAILURES = (ShoalError, OSError, aiohttp.ClientError, msgspec.MsgspecError)

Open = Callable[[str, float], Awaitable[Link]]  # address, seconds
Tries = dict[str, asyncio.Task[Link | None]]  # by address

log = structlog.get_logger()


class Dialer:
    """`open` makes one session; `managers` says where, best first."""

    def __init__(self, managers: Callable[[], Sequence[str]], open: Open) -> None:
        self._managers = managers
        self._open = open
        self._lost = ""  # the manager of the last session
        self._pause = PAUSE[0]
        self._told = ""

    def worked(self) -> None:
        """The present session is a good one: the next search begins fresh."""
        self._pause, self._told = PAUSE[0], ""

    async def dial(self) -> Link:
        """A session with any manager, however long that takes."""
        await asyncio.sleep(self._pause * random.random())  # all of a lost manager's workers come at once
        tries: Tries = {}
        try:
            while (link := await self._round(tries)) is None:
                self._slow_down()
            self._slow_down()  # unless this session works
            self._lost = link.address
            return link
        finally:
            await _drop(tries.values())

    def _slow_down(self) -> None:
        self._pause = min(self._pause * 1.5, PAUSE[1])

    async def _round(self, tries: Tries) -> Link | None:
        """Try each manager that is not being tried, then pause: the first session that one of them grants."""
        for address in order(self._managers(), self._lost):
            if address not in tries:
                tries[address] = asyncio.create_task(self._try(address), name="dial a manager")
                if (link := await _first(tries, STAGGER, tries[address])) is not None:
                    return link
        pause = self._pause * random.uniform(0.5, 1.0)
        if tries:
            return await _first(tries, pause)
        await asyncio.sleep(pause)
        return None

    async def _try(self, address: str) -> Link | None:
        try:
            return await self._open(address, PATIENCE)
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


async def _first(tries: Tries, seconds: float, newest: asyncio.Task[Link | None] | None = None) -> Link | None:
    """The session of the first try that brings one within `seconds`; None as well once the `newest` try has failed. Tries that
    ended leave the `tries`."""
    end = asyncio.get_running_loop().time() + seconds
    while tries and (newest is None or not newest.done()):
        left = end - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait(tries.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        for address in [address for address, task in tries.items() if task.done()]:
            if (link := tries[address].result()) is not None:
                del tries[address]
                return link
            del tries[address]
    return None


async def _drop(tries: Iterable[asyncio.Task[Link | None]]) -> None:
    tasks = [*tries]
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Link):
            await result.close()


def order(managers: Sequence[str], lost: str) -> list[str]:
    """The node's own manager first, the others as chance has it; the one whose session ended just now last of all."""
    others = [address for address in managers if not address.startswith("unix://")]
    random.shuffle(others)
    own = [address for address in managers if address.startswith("unix://")]
    return sorted([*own, *others], key=lambda address: address == lost)
