"""Who leads: each manager holds a key under a lease, and the oldest key leads. The key's create_revision is the fence:
a write that compares it is taken only as long as the lease lives, however long its manager slept.

Who belongs to the managers at all stands in keys without a lease: a manager enters itself when it starts, and one that was
taken out there stands for election no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import structlog

from common.errors import NoSpace, NotFound, Unavailable
from manager.etcd.client import Client, Compacted
from manager.etcd.keys import Keys
from manager.etcd.wire import KeyValue, Op, after, created, delete, exists, put
from manager.raft.membership import Member

log = structlog.get_logger()
RETRY = 0.2  # seconds between attempts to watch again


class Election:
    """`member` is this manager's node id, `ttl` in seconds."""

    def __init__(self, client: Client, keys: Keys, member: str, address: str, ttl: int) -> None:
        self._client = client
        self._keys = keys
        self._member = member.encode()
        self._address = address.encode()
        self._ttl = ttl
        self._entered = False
        self._seen: list[Member] = []
        self._lease = 0
        self._until = 0.0  # the loop's time at which the lease may be over
        self._timer: asyncio.TimerHandle | None = None
        self._fence = 0
        self._leader = b""
        self._changed = asyncio.Event()
        self._leading, self._following = asyncio.Event(), asyncio.Event()
        self._following.set()

    @property
    def leader(self) -> str:
        """The node id of the leader that was last seen, "" where there is none."""
        return self._leader.decode()

    def fence(self) -> int:
        """What a leader's writes compare; 0 where this manager does not lead."""
        return self._fence if self._fence and asyncio.get_running_loop().time() < self._until else 0

    def fenced(self, fence: int) -> list[Op]:
        """The compares by which a write counts only in the leadership of `fence`."""
        return [created(self._key, fence)] if fence else []

    def members(self) -> list[Member]:
        """All managers that belong to the cluster, as last seen; reachable are those whose lease lives."""
        return list(self._seen)

    async def add(self, id: str, address: str) -> None:
        """Let the manager belong to the cluster. Raises Unavailable."""
        await self._client.txn([], [put(self._keys.members + id.encode(), address.encode())])

    async def remove(self, id: str) -> None:
        """As leader: take the manager out; the leader itself steps back instead. Raises Unavailable, also then."""
        fence = self.fence()
        if not fence:
            raise Unavailable("this manager does not lead: the leading one changes who belongs to the managers")
        held = [kv.key for kv in await self._candidates() if kv.value == id.encode()]
        leaving = [*map(delete, held)]
        if id.encode() != self._member:
            leaving.append(delete(self._keys.members + id.encode()))
        answer = await self._client.txn(self.fenced(fence), leaving)
        if not answer.succeeded or id.encode() == self._member:
            self._lose()
            raise Unavailable("this manager leads no more: the next one takes it out of the managers")

    async def leadership(self, wanted: bool) -> None:
        await (self._leading if wanted else self._following).wait()

    async def run(self, catch_up: Callable[[], Awaitable[None]]) -> None:
        """Take part for ever. `catch_up` is waited for before this manager leads."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            while True:
                try:
                    await self.turn(catch_up)
                except (Unavailable, NotFound, NoSpace) as error:
                    log.warning("no part can be taken in the election now", error=error.message)
                await self._pause()

    async def turn(self, catch_up: Callable[[], Awaitable[None]]) -> None:
        """Keep the lease, or get one; lead where the own key is the oldest. Raises Unavailable."""
        self._changed.clear()
        await self._keep()
        candidates = await self._candidates()
        self._leader = candidates[0].value if candidates else b""
        self._seen = await self._look_around(candidates)
        if self._key not in (kv.key for kv in candidates):  # somebody deleted it
            self._lose()
            await self._stand()
        elif candidates[0].key == self._key and not self._fence:
            await catch_up()  # who leads has seen all that was committed before
            self._fence = candidates[0].create_revision
            self._following.clear()
            self._leading.set()

    async def resign(self) -> None:
        """Spare the others the wait for the lease to end."""
        self._lose()
        if self._timer is not None:
            self._timer.cancel()
        if self._lease:
            with suppress(Unavailable, NotFound, TimeoutError):
                async with asyncio.timeout(1):
                    await self._client.revoke(self._lease)

    @property
    def _key(self) -> bytes:
        return self._keys.election + b"%016x" % self._lease

    async def _keep(self) -> None:
        asked = asyncio.get_running_loop().time()
        lease = await self._client.keep_alive(self._lease) if self._lease else None
        if lease is None or not lease.ttl:
            self._lose()
            lease = await self._client.grant(self._ttl)
            self._lease = lease.id
            await self._stand()
        self._until = asked + lease.ttl
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._until, self._lose)

    async def _stand(self) -> None:
        """Become a candidate, unless this manager was taken out. A key of the same member is one of its earlier life."""
        entry = self._keys.members + self._member
        former = [kv.key for kv in await self._candidates() if kv.value == self._member and kv.key != self._key]
        mine = [*map(delete, former), put(self._key, self._member, self._lease)]
        if self._entered:
            await self._client.txn([exists(entry), created(self._key, 0)], mine)
        else:
            await self._client.txn([created(self._key, 0)], [*mine, put(entry, self._address)])
            self._entered = True

    async def _look_around(self, candidates: list[KeyValue]) -> list[Member]:
        found = await self._client.range(self._keys.members, after(self._keys.members))
        alive = {kv.value for kv in candidates}
        ids = [(kv.key.removeprefix(self._keys.members), kv.value) for kv in found.kvs]
        return [
            Member(id.decode(), address.decode(), voter=True, leader=id == self._leader, reachable=id in alive)
            for id, address in ids
        ]

    async def _candidates(self) -> list[KeyValue]:
        """Oldest first."""
        found = await self._client.range(self._keys.election, after(self._keys.election))
        return sorted(found.kvs, key=lambda kv: kv.create_revision)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._ttl / 4):
                await self._changed.wait()

    async def _look(self) -> None:
        while True:
            with suppress(Unavailable, Compacted):
                async with aclosing(self._client.watch(self._keys.election)) as stream:
                    async for _ in stream:
                        self._changed.set()
            await asyncio.sleep(RETRY)

    def _lose(self) -> None:
        if self._fence:
            log.info("this manager leads no more")
        self._fence = 0
        self._leading.clear()
        self._following.set()


def no_leader() -> Unavailable:
    return Unavailable("this manager leads no more, so it did not make the change: the present leader sees to it")
