"""The driver around the core: it alone knows time, disk, peers and the machine, and carries out each Ready in order.

Everything that waits goes into one Ready, so into one write and one fdatasync, which run in a thread. What entries mean
belongs to the machine, how messages travel to the transport.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec

from common.errors import NoSpace, Unavailable
from manager.raft.compactor import Compactor
from manager.raft.core import Core, Entry, EntryKind, InstallSnapshot, Message, Ready, Role, Settings
from manager.raft.storage import Storage
from manager.raft.transport import Transport
from manager.raft.waiters import Barriers, Proposals, no_leader, unwrap
from manager.store.log import Machine


class Options(msgspec.Struct, frozen=True):
    """`tick` in seconds; `patience` in ticks, how long a proposal waits for a quorum; `snapshot_every` and `keep` in
    entries: how many make a snapshot worth while, how many stay in memory for slow followers."""

    tick: float = 0.1
    patience: int = 100
    snapshot_every: int = 10_000
    keep: int = 500
    core: Settings = Settings()


class Node:
    """One member. `run` is its life, until `stop`."""

    def __init__(self, core: Core, storage: Storage, machine: Machine, transport: Transport, options: Options) -> None:
        self._core = core
        self._storage = storage
        self._machine = machine
        self._transport = transport
        self._options = options
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="raft-disk")
        self._compactor = Compactor(core, storage, machine, self._disk, options.snapshot_every, options.keep)
        self._wake = asyncio.Event()
        self._stopping = False
        self._now = 0  # ticks
        self._applied = core.state.log.handed
        self._proposals = Proposals()
        self._barriers = Barriers()
        self._leader = ""
        self._led = 0  # the term in which `is_leader` became true
        self._leading, self._following = asyncio.Event(), asyncio.Event()
        self._following.set()

    # -- what others call

    async def propose(self, data: bytes, *, leading: bool = False) -> int:
        """See Log.propose."""
        if leading and not self.is_leader():
            raise no_leader()
        future = self._proposals.add(data, self._now + self._options.patience, self._led if leading else 0)
        self._wake.set()
        return await future

    async def barrier(self) -> None:
        """See Log.barrier."""
        future = self._barriers.add()
        self._wake.set()
        try:
            async with asyncio.timeout(self._options.patience * self._options.tick):
                await future
        except TimeoutError:
            raise Unavailable("no quorum of managers answers: what is committed cannot be told") from None

    def deliver(self, message: Message) -> None:
        """A peer's message came in."""
        self._core.step(message)
        self._wake.set()

    def is_leader(self) -> bool:
        return self._leading.is_set()

    async def leadership(self, wanted: bool) -> None:
        await (self._leading if wanted else self._following).wait()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    # -- the driver

    async def run(self) -> None:
        """Carry out Readys until `stop`. Raises what the disk raises, except that it is full."""
        try:
            async with asyncio.TaskGroup() as group:
                ticker = group.create_task(self._tick())
                while not self._stopping:
                    await self._turn(group)
                ticker.cancel()
        finally:
            self._disk.shutdown()
            self._proposals.fail(Unavailable("the log is closed: no change can be committed"))
            self._barriers.fail(Unavailable("the log is closed: it cannot tell what is committed"))

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        self._wake.clear()
        self._offer()
        ready = self._core.ready()
        if ready is not None:
            await self._carry_out(ready)
        self._watch_leader()
        await self._compactor.turn(group, self._applied, self._now, self._wake)
        if ready is None:
            await self._wake.wait()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._options.tick)
            self._now += 1
            self._core.tick()
            self._proposals.expire(self._now)
            if self._now % self._options.core.election == 0:
                self._barriers.retry()
            self._wake.set()

    def _offer(self) -> None:
        """Give the core what came in meanwhile."""
        state = self._core.state
        self._proposals.fence(state.term if state.role is Role.LEADER else 0)
        if (entries := self._proposals.queued()) and self._core.propose(entries) >= 0:
            self._proposals.offered()
        if self._core.state.leader and (ticket := self._barriers.ticket()):
            self._core.read(ticket)

    async def _carry_out(self, ready: Ready) -> None:
        for message in ready.messages:
            self._transport.send(await self._complete(message))
        if ready.must_persist and not await self._persist(ready):
            return
        if ready.snapshot is not None:
            self._machine.restore(ready.snapshot.index, ready.snapshot.data)
            self._applied = ready.snapshot.index
        self._core.persisted(ready)
        for message in ready.replies:
            self._transport.send(message)
        for entry in ready.committed:
            self._apply(entry)
        for read in ready.reads:
            self._barriers.answered(read.ticket, read.index)
        self._barriers.applied(self._applied)

    async def _complete(self, message: Message) -> Message:
        """The core knows snapshots without their data."""
        if not isinstance(message, InstallSnapshot):
            return message
        snapshot = await asyncio.to_thread(self._storage.load_snapshot)
        return msgspec.structs.replace(message, snapshot=snapshot)

    async def _persist(self, ready: Ready) -> bool:
        """Write until it is done: a full disk fails the proposals, and is tried again. False where the end came first."""
        while not self._stopping:
            try:
                await asyncio.get_running_loop().run_in_executor(self._disk, self._storage.save, ready)
            except NoSpace as error:
                self._proposals.fail(error)
                await asyncio.sleep(self._options.tick)
            else:
                return True
        return False

    def _apply(self, entry: Entry) -> None:
        if entry.kind is EntryKind.DATA:
            error = self._machine.apply(entry.index, unwrap(entry.data))
            self._proposals.resolve(entry.data, entry.index, error)
        self._applied = entry.index

    def _watch_leader(self) -> None:
        state = self._core.state
        if state.leader != self._leader:
            if self._leader:
                self._proposals.fail(
                    Unavailable("the leading manager changed; the change may still commit"), offered=True
                )
                self._barriers.retry()
            self._leader = state.leader
        # Who leads has seen all that was committed before: loops must not start on an old view.
        if state.role is Role.LEADER and self._applied >= state.first_index:
            self._led = state.term
            self._following.clear()
            self._leading.set()
        else:
            self._leading.clear()
            self._following.set()
