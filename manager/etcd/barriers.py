"""Linearizable reads: the head key is written with every frame, so its mod_revision, read from etcd's quorum, is what this
replica has to reach. All readers that wait share one read of it, which begins after they came.
"""

from __future__ import annotations

import asyncio

import structlog

from common.errors import ShoalError, Unavailable
from manager.etcd.client import Client
from manager.etcd.follower import Follower
from manager.etcd.keys import Keys

log = structlog.get_logger()
PROBE = 5.0  # seconds between looks at whether the watch still lives
LAG = 2.0  # seconds that the watch may be behind before another member is asked


class Barriers:
    def __init__(self, client: Client, keys: Keys, follower: Follower, patience: float) -> None:
        self._client = client
        self._keys = keys
        self._follower = follower
        self._patience = patience
        self._asking: list[asyncio.Future[int]] = []
        self._wake = asyncio.Event()

    async def barrier(self) -> None:
        """See Log.barrier."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asking.append(future)
        self._wake.set()
        try:
            async with asyncio.timeout(self._patience):
                await self._reach(await future)
        except TimeoutError:
            raise Unavailable("etcd does not answer in time: what is committed cannot be told") from None

    async def run(self) -> None:
        """Read for those who wait, until cancelled. Raises ShoalError where etcd went back in time."""
        asked: list[asyncio.Future[int]] = []
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                asked, self._asking = self._asking, []
                await self._ask(asked)
        finally:
            closed = Unavailable("the log is closed: it cannot tell what is committed")
            for future in (f for f in (*asked, *self._asking) if not f.done()):
                future.set_exception(closed)

    async def probe(self) -> None:
        """Now and then see that the watch still follows, for as long as this is not cancelled."""
        while True:
            await asyncio.sleep(PROBE)
            try:
                await self.barrier()
            except Unavailable as error:
                log.warning("etcd cannot be followed now", error=error.message)

    async def _ask(self, readers: list[asyncio.Future[int]]) -> None:
        seen = self._follower.revision
        try:
            head = await self._client.range(self._keys.head)
        except Unavailable as error:
            for future in (f for f in readers if not f.done()):
                future.set_exception(error)
            return
        if head.header.revision < seen:
            raise ShoalError(
                f"etcd is at revision {head.header.revision}, this manager saw {seen} already: "
                "etcd lost changes or was restored, so the manager has to read it from the beginning"
            )
        for future in (f for f in readers if not f.done()):
            future.set_result(head.first.mod_revision)

    async def _reach(self, revision: int) -> None:
        try:
            async with asyncio.timeout(LAG):
                await self._follower.reached(revision)
        except TimeoutError:
            self._follower.watch_again()
            await self._follower.reached(revision)
