"""The driver around the core: it alone knows time, disk, peers and the machine, and carries out each Ready in order.

Everything that waits goes into one Ready, so into one write and one fdatasync, which run in a thread. What entries mean
belongs to the machine, how messages travel to the transport, who takes part to membership.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from common.errors import NoSpace, Unavailable
from manager.raft.compactor import Compactor
from manager.raft.core import Config, Core, Entry, EntryKind, InstallSnapshot, Message, Ready, Role, Settings
from manager.raft.membership import Hearing, Membership
from manager.raft.numbers import Numbers
from manager.raft.pulse import Pulse
from manager.raft.sending import Sending
from manager.raft.storage import Storage
from manager.raft.transport import Transport
from manager.raft.waiters import Barriers, Proposals, no_leader, unwrap
from manager.store.log import Machine


class Options(msgspec.Struct, frozen=True):
    """`tick` in seconds; `patience` in ticks, how long a proposal waits for a quorum; `snapshot_every` and `keep` in
    entries: how many make a snapshot worth while, how many stay in memory for slow followers. `observe` is told how many
    seconds each commit took."""

    tick: float = 0.1
    patience: int = 100
    snapshot_every: int = 10_000
    keep: int = 500
    core: Settings = Settings()
    observe: Callable[[float], None] = lambda seconds: None


class Node:
    """One member; `own` is the address that it listens at and its birth. `run` is its life, until `stop`."""

    def __init__(
        self,
        core: Core,
        storage: Storage,
        machine: Machine,
        transport: Transport,
        options: Options,
        own: tuple[str, str] = ("", ""),
    ) -> None:
        self._core = core
        self._storage = storage
        self._machine = machine
        self._transport = transport
        self._options = options
        self._own = own
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="raft-disk")
        self._compactor = Compactor(core, storage, machine, self._disk, options.snapshot_every, options.keep)
        self._wake = asyncio.Event()
        self._stopping = False
        self._failure: AssertionError | None = None
        self._applied = core.state.log.handed
        self._proposals = Proposals(options.observe)
        self._barriers = Barriers()
        self._leader = ""
        self._led = 0  # the term in which `is_leader` became true
        self._leading, self._following = asyncio.Event(), asyncio.Event()
        self._following.set()
        self._config = Config()
        self._turned = Pulse()
        self._hearing = Hearing(core)
        self._sending = Sending(core, storage, transport, self._wake.set)
        self.membership = Membership(
            core, self._hearing, self._turned, options.patience, self._wake.set, self._sending.busy, self.barrier
        )

    # -- what others call

    async def propose(self, data: bytes, *, leading: bool = False) -> int:
        """See Log.propose."""
        if leading and not self.is_leader():
            raise no_leader()
        deadline = self._hearing.now + self._options.patience
        future = self._proposals.add(data, deadline, self._led if leading else 0)
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
            raise Unavailable(
                "The swarm does not have a leader. It's possible that too few managers are online. "
                "Make sure more than half of the managers are online."
            ) from None

    def deliver(self, message: Message) -> None:
        """A peer's message came in."""
        if message.to == self._core.state.id:
            self._hearing.heard(message.sender)
            try:
                self._core.step(message)
            except AssertionError as failure:
                self._failure = failure  # whoever brought the message is not to blame
            self._wake.set()

    def lost(self, id: str) -> None:
        """The line from `id` broke."""
        self._core.lost_sight(id)

    def is_leader(self) -> bool:
        return self._leading.is_set()

    async def leadership(self, wanted: bool) -> None:
        await (self._leading if wanted else self._following).wait()

    async def joined(self, address: str) -> None:
        """See RaftLog.joined."""
        await self.membership.joined(address)

    def numbers(self) -> Numbers:
        state = self._core.state
        return Numbers(
            leader=state.leader,
            term=state.term,
            commit=state.log.commit,
            applied=self._applied,
            last=state.log.last,
            snapshot=state.log.snapshot.index,
            waiting=self._proposals.count,
            log_bytes=self._storage.log_bytes,
            snapshot_bytes=self._storage.snapshot_bytes,
        )

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
                self._sending.stop()
        finally:
            self._disk.shutdown()
            self._proposals.fail(Unavailable("the log is closed: no change can be committed"))
            self._barriers.fail(Unavailable("the log is closed: it cannot tell what is committed"))
            self._turned.close(Unavailable("the log is closed: its members cannot be changed"))

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        self._wake.clear()
        if self._failure is not None:
            raise self._failure
        self._offer()
        self._watch_members()
        ready = self._core.ready()
        if ready is not None:
            await self._carry_out(ready, group)
        self._watch_leader()
        await self._compactor.turn(group, self._applied, self._hearing.now, self._wake)
        self._turned.beat()
        if ready is None:
            await self._wake.wait()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._options.tick)
            self._hearing.now += 1
            self._core.tick()
            self._sending.tick()
            self._proposals.expire(self._hearing.now)
            if self._hearing.now % self._options.core.election == 0:
                self._barriers.retry()
            self._wake.set()

    def _offer(self) -> None:
        """Give the core what came in meanwhile."""
        state = self._core.state
        self._proposals.fence(state.term if state.role is Role.LEADER else 0)
        if (entries := self._proposals.queued()) and self._core.propose(entries) >= 0:
            self._proposals.offered()
        if state.leader and (ticket := self._barriers.ticket()):
            self._core.read(ticket)

    async def _carry_out(self, ready: Ready, group: asyncio.TaskGroup) -> None:
        for message in ready.messages:
            if isinstance(message, InstallSnapshot):
                self._sending.start(group, message)
            else:
                self._transport.send(message)
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
                lost = Unavailable("the leading manager changed; the change may still commit")
                self._proposals.fail(lost, offered=True)
                self._barriers.retry()
            self._leader = state.leader
        # Who leads has seen all that was committed before: loops must not start on an old view.
        if state.role is Role.LEADER and self._applied >= state.first_index:
            if self._led != state.term:
                self._led, self._hearing.led = state.term, self._hearing.now
            self._following.clear()
            self._leading.set()
        else:
            self._leading.clear()
            self._following.set()

    def _watch_members(self) -> None:
        if self._core.state.config is not self._config:
            self._config = self._core.state.config
            self._transport.members(self._config)
        if self.is_leader():
            self.membership.keep_own(*self._own)
