"""The log in an etcd cluster that the user runs: managers hold nothing durable, etcd orders and keeps.

An entry lies in a frame, a key that one txn puts once; etcd's revisions are the order of frames, and every replica reads
the same frames in that order, by the watch. Conflicts between transactions are decided by the machine's versions as over
Raft. That is what compares on mod_revision would give: an object's version is the entry that wrote it last, there is one
key for each entry, and a replica applies an entry only behind all that etcd put before it. Compares do what versions
cannot: they bind a leader's writes to its election key, and make a txn that is sent twice count once (proposer.py).

Managers meet in the keys below their prefix (keys.py) and nowhere else: several clusters may use one etcd.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from common.errors import Unavailable
from manager.etcd.barriers import Barriers
from manager.etcd.client import Client
from manager.etcd.compactor import Compactor
from manager.etcd.election import Election, no_leader
from manager.etcd.follower import Follower
from manager.etcd.keys import Keys
from manager.etcd.proposer import Proposer
from manager.raft.membership import Member
from manager.store.log import Machine


class Options(msgspec.Struct, frozen=True):
    """`ttl` and `patience` in seconds: how long a silent leader leads on, how long a request is tried. Snapshots are
    taken every so many entries, or bytes of entries."""

    ttl: int = 4
    patience: float = 10.0
    snapshot_every: int = 10_000
    snapshot_size: int = 64 << 20


class _Parts(msgspec.Struct, frozen=True):
    election: Election
    proposer: Proposer
    barriers: Barriers
    compactor: Compactor


class EtcdLog:
    """`urls` of etcd's members; `member` is this manager's node id, `address` where other nodes reach it."""

    def __init__(
        self,
        urls: Sequence[str],
        prefix: str,
        member: str,
        *,
        address: str = "",
        context: ssl.SSLContext | None = None,
        options: Options | None = None,
    ) -> None:
        self._urls = urls
        self._keys = Keys(prefix)
        self._member = member
        self._address = address
        self._context = context
        self._options = options or Options()
        self._parts: _Parts | None = None

    @asynccontextmanager
    async def run(self, machine: Machine) -> AsyncIterator[None]:
        keys, options = self._keys, self._options
        # Requests give up a little before those who wait for them: they know better what is wrong.
        async with Client(self._urls, self._context, options.patience * 0.8) as client:
            election = Election(client, keys, self._member, self._address, options.ttl)
            proposer = Proposer(client, keys, election, options.patience)
            follower = Follower(client, keys, machine, proposer.applied)
            barriers = Barriers(client, keys, follower, options.patience)
            compactor = Compactor(client, keys, election, machine, options.snapshot_every, options.snapshot_size)
            await follower.load()
            try:
                async with asyncio.TaskGroup() as group:
                    work = [follower.run(), proposer.run(follower), barriers.run(), barriers.probe()]
                    tasks = [group.create_task(each) for each in work]
                    try:
                        await election.turn(barriers.barrier)  # alone, it leads at once
                        tasks += [
                            group.create_task(each)
                            for each in (election.run(barriers.barrier), compactor.run(follower))
                        ]
                        self._parts = _Parts(election, proposer, barriers, compactor)
                        yield
                    finally:
                        self._parts = None
                        for task in tasks:
                            task.cancel()
                        await election.resign()
            except BaseExceptionGroup as failures:
                raise _first(failures) from None

    async def propose(self, data: bytes, *, leading: bool = False) -> int:
        parts = self._running()
        fence = parts.election.fence() if leading else 0
        if leading and not fence:
            raise no_leader()
        return await parts.proposer.propose(data, fence)

    async def barrier(self) -> None:
        await self._running().barriers.barrier()

    def is_leader(self) -> bool:
        return self._parts is not None and self._parts.election.fence() > 0

    async def leadership(self, wanted: bool) -> None:
        await self._running().election.leadership(wanted)

    @property
    def leader(self) -> str:
        """The leading manager's node id, "" where none is known."""
        return self._running().election.leader

    # -- the managers that belong to the cluster, as over Raft (manager/raft/log.py)

    @property
    def birth(self) -> str:
        """A manager's disk holds nothing here: it may come and go."""
        return ""

    async def joined(self) -> None:
        """A manager belongs to the others as soon as the log runs."""

    def members(self) -> list[Member]:
        return self._running().election.members()

    async def add(self, id: str, address: str, birth: str = "") -> None:
        """Let the manager `id`, which listens at `address`, belong to the cluster. Raises Unavailable."""
        await self._running().election.add(id, address)

    async def remove(self, id: str) -> None:
        """As leader: take the manager out of the cluster. Raises Unavailable where this manager does not lead, also after
        it stepped back because `id` is itself."""
        await self._running().election.remove(id)

    def _running(self) -> _Parts:
        if self._parts is None:
            raise Unavailable("the log is closed: no change can be committed")
        return self._parts


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong, as it was raised: a failure of the body must reach the caller as itself."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
