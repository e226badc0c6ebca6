"""A group of members in virtual time with a hostile network, failing machines and clients. One seed, one history."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from manager.raft.core import Config, EntryKind, Message
from manager.raft.core.types import decode_config
from manager.raft.membership import without
from tests.simulation.raft_checks import Checks, History
from tests.simulation.raft_member import PACES, SETTINGS, Member, encode

IDS = ("a", "b", "c", "d", "e")


class Operation(msgspec.Struct):
    number: int
    begun: int  # see History.begin


class World:
    """Time is in small units; a member's tick is about ten of them."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 0
        self.checks = Checks()
        self.history = History()
        self.snapshot_every = self.rng.choice((5, 20, 1000))
        self.loss = self.rng.choice((0.0, 0.02, 0.2))
        self.doubling = self.rng.choice((0.0, 0.1))
        self.longest_delay = self.rng.choice((5, 20, 80))
        self.cut: set[tuple[str, str]] = set()  # (from, to) that loses everything
        self._queue: list[tuple[int, int, Member | None, int, Callable[[], None]]] = []
        self._number = 0
        self._operations = 0
        self._first: dict[int, int] = {}  # write → the first index it was applied at
        self._writes: dict[int, tuple[Member, Operation]] = {}
        voters = IDS[: self.rng.choice((1, 3, 3, 5))]
        self._first_config = Config(frozenset(voters), births=dict.fromkeys(voters, "first"))
        self.members = {id: self._member(id, self._first_config) for id in voters}
        self.reborn: Member | None = None  # whose disk was lost, until the group knows

    def _member(self, id: str, config: Config) -> Member:
        return Member(self, id, config, Random(self.rng.random()))

    # -- time

    def after(self, delay: int, member: Member | None, action: Callable[[], None]) -> None:
        """Do `action` later, unless `member` crashed by then."""
        self._number += 1
        life = member.life if member else 0
        heapq.heappush(self._queue, (self.now + delay, self._number, member, life, action))

    def run(self, duration: int) -> None:
        end = self.now + duration
        while self._queue and self._queue[0][0] <= end:
            self.now, _, member, life, action = heapq.heappop(self._queue)
            if member is None or (member.up and member.life == life):
                action()
                self.validate()
        self.now = end

    def validate(self) -> None:
        self.checks.validate(self.members.values())

    # -- the network

    def carry(self, message: Message) -> None:
        if (message.sender, message.to) in self.cut or self.rng.random() < self.loss:
            return
        sender = self.members[message.sender]
        births = sender.birth, sender.births.get(message.to, "")
        for _ in range(2 if self.rng.random() < self.doubling else 1):
            self.after(1 + self.rng.randrange(self.longest_delay), None, lambda: self._arrive(message, *births))

    def _arrive(self, message: Message, sender: str, meant: str) -> None:
        """Messages for another life are refused, as by the real transport."""
        member = self.members.get(message.to)
        if member is not None and member.up and member.birth == meant:
            member.births[message.sender] = sender
            member.receive(message)

    # -- clients

    def write(self) -> None:
        """Some client writes through some member."""
        member = self.rng.choice([*self.members.values()])
        if member.core is not None:
            self._operations += 1
            operation = Operation(self._operations, self.history.begin())
            if member.core.propose([encode([self.rng.choice("xyz"), operation.number])]) >= 0:
                self._writes[operation.number] = (member, operation)
            member.pump()

    def read(self) -> None:
        member = self.rng.choice([*self.members.values()])
        if member.core is not None:
            self._operations += 1
            if member.core.read(self._operations):
                member.reads[self._operations] = Operation(self._operations, self.history.begin())
            member.pump()

    def applied(self, member: Member, number: int) -> None:
        """The member that proposed a write has applied it: its client is told."""
        proposer, operation = self._writes.get(number, (None, None))
        if operation is not None and proposer is member:
            del self._writes[number]
            self.history.write_ended(number, operation.begun, member.machine.done[number])

    def answer_read(self, member: Member, operation: Operation) -> None:
        expected: dict[str, int] = {}
        for index in range(1, member.applied + 1):
            self._replay(index, expected)
        assert member.machine.values == expected, "a member's state is not that of the log"
        self.history.read_ended(operation.begun, member.applied)

    def _replay(self, index: int, values: dict[str, int]) -> None:
        entry = self.checks.applied[index]
        if entry.data and not entry.kind:
            key, number = msgspec.msgpack.decode(entry.data)
            if self._first.setdefault(number, index) == index:
                values[key] = number

    # -- faults

    def crash(self) -> None:
        up = [member for member in self.members.values() if member.up]
        leaders = [member for member in up if member.leads]
        if up:
            member = self.rng.choice(leaders if leaders and self.rng.random() < 0.3 else up)
            member.crash()
            self._lose_sight(member.id)
            self.after(self.rng.randrange(1, 600), None, lambda: self._restart(member))

    def _lose_sight(self, id: str) -> None:
        """Those who had a line to a member notice that it broke, or not."""
        for other in self.members.values():
            if other.core is not None and self.rng.random() < 0.5:
                other.core.lost_sight(id)
                other.pump()

    def break_lines(self) -> None:
        """Though nobody died."""
        self._lose_sight(self.rng.choice([*self.members]))

    def _restart(self, member: Member) -> None:
        if not member.up:
            member.start()

    def partition(self) -> None:
        """Cut a leader off, or the group in two, or only some one-way paths."""
        ids = list(self.members)
        kind = self.rng.randrange(3)
        if kind < 2:
            side = {m.id for m in self.members.values() if (m.leads if kind else self.rng.random() < 0.5)}
            self.cut = {(x, y) for x in ids for y in ids if (x in side) != (y in side)}
        else:
            self.cut = {(x, y) for x in ids for y in ids if x != y and self.rng.random() < 0.3}

    def heal(self) -> None:
        self.cut = set()

    def change(self) -> None:
        """Whoever leads adds, promotes or removes a member; while a disk is lost, only the one that had it."""
        for member in [m for m in self.members.values() if m.leads]:
            assert member.core is not None
            config, id = member.core.state.config, self.rng.choice(IDS)
            wanted = self._mended(config) if self.reborn else self._changed(config, id)
            if not member.core.change(wanted):
                continue
            if id not in self.members and not self.reborn:
                self.members[id] = self._member(id, Config())
            member.pump()

    def _changed(self, config: Config, id: str) -> Config:
        births = config.births | {id: self.members[id].birth if id in self.members else "first"}
        if id in config.voters and len(config.voters) > 1:
            return without(config, id)
        if id in config.learners or self.rng.random() < 0.3:
            return Config(config.voters | {id}, config.learners - {id}, births=births)
        return Config(config.voters, config.learners | {id} - config.voters, births=births)

    def _mended(self, config: Config) -> Config:
        """The next step for the member that lost its disk: out, then a learner, then a voter."""
        assert self.reborn is not None
        id, birth = self.reborn.id, self.reborn.birth
        if id in config.members and config.births[id] != birth:
            return without(config, id)
        births = config.births | {id: birth}
        if id in config.members:
            return Config(config.voters | {id}, config.learners - {id}, births=births)
        return Config(config.voters, config.learners | {id}, births=births)

    def lose_disk(self) -> None:
        """One at a time, and only where a quorum is left that knows of itself: more may not be asked of anybody."""
        committed = self._committed_config()
        if self.reborn is not None or committed is None or len(committed.voters) < 3:
            return
        member = self.members[self.rng.choice(sorted(committed.voters))]
        others = [self.members[id] for id in committed.voters if id != member.id]
        if all(other.remembered().voters == committed.voters for other in others):
            self.reborn = member
            member.lose_disk()
            self.after(self.rng.randrange(1, 600), None, lambda: self._restart(member))

    def _committed_config(self) -> Config | None:
        """The newest one; None while a change is on its way anywhere."""
        end = max(self.checks.committed, default=0)
        logs = [m.disk.entries for m in self.members.values()]
        logs += [
            m.core.state.log.slice(m.core.state.log.offset + 1, m.core.state.log.last + 1)
            for m in self.members.values()
            if m.core
        ]
        if any(entry.kind is EntryKind.CONFIG and entry.index > end for log in logs for entry in log):
            return None
        configs = [e for e in self.checks.committed.values() if e.kind is EntryKind.CONFIG]
        return decode_config(max(configs, key=lambda e: e.index).data) if configs else self._first_config

    def look_after_reborn(self) -> None:
        """It is as good as any other once its old life's place is gone and its new one votes."""
        committed = self._committed_config()
        if self.reborn is not None and committed is not None:
            id = self.reborn.id
            if id in committed.voters and committed.births[id] == self.reborn.birth:
                self.reborn = None

    def transfer(self) -> None:
        for member in self.members.values():
            if member.core is not None and member.leads:
                member.core.transfer(self.rng.choice(IDS))
                member.pump()

    def slow_disk(self) -> None:
        self.rng.choice([*self.members.values()]).disk_delay = self.rng.choice((1, 5, 60, 400))

    def skew(self) -> None:
        """A member's clock goes at another pace from now on, almost stands still, or jumps ahead."""
        member = self.rng.choice([*self.members.values()])
        member.tick_every = self.rng.choice((*PACES, 3, 200))
        if member.core is not None and self.rng.random() < 0.3:
            for _ in range(self.rng.randrange(3 * SETTINGS.election)):
                member.core.tick()
            member.pump()

    # -- histories

    def ordeal(self, steps: int) -> None:
        """Clients at work while everything goes wrong."""
        acts: list[Callable[[], Any]] = [self.write] * 40 + [self.read] * 20
        acts += (
            [self.crash] * 2
            + [self.partition] * 2
            + [self.heal] * 3
            + [self.slow_disk, self.transfer, self.break_lines]
        )
        acts += [self.change] * (2 if self.rng.random() < 0.7 else 5) + [self.skew] * 2
        acts += [self.lose_disk] * self.rng.choice((0, 1))
        for _ in range(steps):
            self.rng.choice(acts)()
            self.look_after_reborn()
            self.validate()
            self.run(self.rng.randrange(20))

    def recover(self) -> None:
        """With all faults gone, the group elects a leader, commits a write and brings everybody up to date."""
        self.heal()
        self.loss = 0.0
        self.longest_delay = 5
        for member in self.members.values():
            member.disk_delay = 1
            member.tick_every = self.rng.choice(PACES)
            self._restart(member)
        for _ in range(40):
            self.run(40 * SETTINGS.election)
            self.write()
            self.look_after_reborn()
            if self.reborn is not None:
                self.change()
            elif self._converged():
                return
        raise AssertionError("the group does not recover")

    def _converged(self) -> bool:
        leader = next((m for m in self.members.values() if m.leads and m.core), None)
        if leader is None or leader.core is None or leader.core.state.log.commit < leader.core.state.first_index:
            return False
        self.run(40 * SETTINGS.election)
        if not leader.leads:
            return False
        members = [self.members[id] for id in leader.core.state.config.members]
        return all(m.applied == leader.core.state.log.last for m in members)

    def lost(self) -> set[int]:
        """Acknowledged writes that are not in every current member's state."""
        leader = next(m for m in self.members.values() if m.leads and m.core)
        assert leader.core is not None
        members = [self.members[id] for id in leader.core.state.config.members]
        return {n for n, i in self.history.acknowledged.items() if any(m.machine.done.get(n) != i for m in members)}
