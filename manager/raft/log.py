"""The Raft log as the store sees it: files in one folder, a member in the group, entries to the machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from common.errors import Unavailable
from manager.raft.core import Config, Core, Durable, Role
from manager.raft.membership import Member
from manager.raft.node import Node, Options
from manager.raft.numbers import Numbers
from manager.raft.storage import Storage
from manager.raft.transport import NoTransport, Transport
from manager.store.log import Machine


class RaftLog:
    """`member` is this manager's node id, `address` where others reach it. An empty `folder` begins a group of one, or
    with `joins` waits to be added to one. `force_new` makes this manager the only one, whatever it knows of others: they
    must be gone for good. The first of `keys` (32 bytes each) seals what is written to the disk from now on, the others
    open what older ones sealed, until a snapshot has replaced it."""

    def __init__(
        self,
        folder: Path,
        member: str,
        *,
        address: str = "",
        joins: bool = False,
        force_new: bool = False,
        keys: Sequence[bytes] = (),
        options: Options | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._folder = folder
        self._member = member
        self._address = address
        self._joins = joins
        self._force_new = force_new
        self._keys = keys
        self._options = options or Options()
        self._transport = transport or NoTransport()
        self._node: Node | None = None
        self._birth = ""

    @asynccontextmanager
    async def run(self, machine: Machine) -> AsyncIterator[None]:
        storage = Storage(self._folder, self._keys)
        try:
            core = await self._load(storage, machine)
            node = Node(core, storage, machine, self._transport, self._options, (self._address, self._birth))
            async with self._transport.run(self._birth, node.deliver, node.lost), asyncio.TaskGroup() as group:
                group.create_task(node.run())
                self._node = node
                try:
                    await self._catch_up(core, node)
                    yield
                finally:
                    self._node = None
                    await _retire(core, node)
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            storage.close()

    async def propose(self, data: bytes, *, leading: bool = False) -> int:
        return await self._running().propose(data, leading=leading)

    async def barrier(self) -> None:
        await self._running().barrier()

    def is_leader(self) -> bool:
        return self._node is not None and self._node.is_leader()

    async def leadership(self, wanted: bool) -> None:
        await self._running().leadership(wanted)

    # -- the group

    @property
    def birth(self) -> str:
        """Which life this member lives: its disk's. `add` wants it, so that a lost disk is noticed."""
        return self._birth

    @property
    def leader(self) -> str:
        """The leading member's id, "" where none is known."""
        return self._running().numbers().leader

    def numbers(self) -> Numbers:
        return self._running().numbers()

    def members(self) -> list[Member]:
        """All members that the newest committed configuration names, learners too."""
        return self._running().membership.members()

    async def joined(self, address: str = "") -> None:
        """Return once this member is a voter, and known to listen at `address` where one is given."""
        await self._running().joined(address)

    async def add(self, id: str, address: str, birth: str = "") -> None:
        """As leader: make `id`, which listens at `address`, a voter, and return once it is: it learns first, until it has
        caught up. Does nothing where that is so already. A member of another `birth` than was known lost its disk: it
        is removed first. Raises Unavailable where this member does not lead, or the other one does not answer, and
        Conflict where a lost member cannot be replaced without losing the quorum."""
        await self._running().membership.add(id, address, birth)

    async def remove(self, id: str) -> None:
        """As leader: let `id` not be a member. Does nothing where that is so already. Raises Conflict where it is the last
        voter, or too few of the others answer; Unavailable where this member does not lead, also after it handed over
        because `id` is itself."""
        await self._running().membership.remove(id)

    async def hand_over(self) -> None:
        """As leader: let another one lead. Raises Unavailable where none takes over."""
        await self._running().membership.hand_over()

    # -- inside

    async def _load(self, storage: Storage, machine: Machine) -> Core:
        durable = await asyncio.to_thread(self._read, storage)
        if durable.snapshot.index:
            machine.restore(durable.snapshot.index, durable.snapshot.data)
        return Core(self._member, durable, Random(), self._options.core)

    def _read(self, storage: Storage) -> Durable:
        self._birth = storage.open()
        alone = Config(frozenset([self._member]), births={self._member: self._birth})
        durable = storage.load(Config() if self._joins else alone)
        if self._force_new:
            durable = storage.stand_alone(durable, self._member, self._address)
            self._birth = storage.birth
        return durable

    async def _catch_up(self, core: Core, node: Node) -> None:
        """Alone, a member need not wait for anybody: it leads at once, and opens with all that it ever acknowledged."""
        if core.state.config.voters == {self._member}:
            core.campaign()
            await node.leadership(True)

    def _running(self) -> Node:
        if self._node is None:
            raise Unavailable("the log is closed: no change can be committed")
        return self._node


async def _retire(core: Core, node: Node) -> None:
    """Stop, and spare the others the wait for an election."""
    try:
        if core.state.role is Role.LEADER and len(core.state.config.voters) > 1:
            await node.membership.hand_over()
    except Unavailable:
        pass  # they elect one
    finally:
        node.stop()


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong, as it was raised: a failure of the body must reach the caller as itself."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
