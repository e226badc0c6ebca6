"""One simulated member: the real core, a disk that can lose what was not synced, and a machine of registers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from manager.raft.core import (
    Config,
    Core,
    Durable,
    Entry,
    EntryKind,
    HardState,
    InstallSnapshot,
    Message,
    Ready,
    Role,
    Settings,
    Snapshot,
)
from manager.raft.core.messages import VoteReply

PACES = (6, 9, 10, 11, 30)  # units of time between two ticks
SETTINGS = Settings(election=10, heartbeat=2, batch=200, window=4, snapshot_patience=20)

encode: Callable[[Any], bytes] = msgspec.msgpack.encode
decode: Callable[[bytes], Any] = msgspec.msgpack.decode


class Disk:
    """What survives a crash. A write in flight when the power goes is there as a whole or not at all."""

    def __init__(self, config: Config) -> None:
        self.hard_state = HardState()
        self.snapshot = Snapshot(config=config)
        self.entries: list[Entry] = []

    def load(self) -> Durable:
        entries = [entry for entry in self.entries if entry.index > self.snapshot.index]
        return Durable(self.hard_state, self.snapshot, entries)

    def write(self, ready: Ready) -> None:
        assert ready.hard_state.term >= self.hard_state.term, "the term on disk goes back"
        self.hard_state = ready.hard_state
        if ready.snapshot is not None:
            self.snapshot = ready.snapshot
            self.entries = []
        if ready.cut >= 0:
            self.entries = [entry for entry in self.entries if entry.index <= ready.cut]
        if ready.entries:
            first = ready.entries[0].index
            self.entries = [entry for entry in self.entries if entry.index < first] + ready.entries

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.entries = [entry for entry in self.entries if entry.index > snapshot.index]


class Registers:
    """The state machine: one value per key. An operation that arrives twice counts once."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.done: dict[int, int] = {}  # operation → index

    def apply(self, entry: Entry) -> None:
        key, operation = decode(entry.data)
        if operation not in self.done:
            self.done[operation] = entry.index
            self.values[key] = operation

    def snapshot(self) -> bytes:
        return encode([self.values, self.done])

    def restore(self, data: bytes) -> None:
        self.values, self.done = {}, {}
        if data:
            self.values, self.done = msgspec.msgpack.decode(data, type=tuple[dict[str, int], dict[int, int]])


class Member:
    """`world` carries messages and time (see World in raft_world.py); `pump` is what manager/raft/node.py does."""

    def __init__(self, world: Any, id: str, config: Config, rng: Random) -> None:
        self.id = id
        self.world = world
        self.rng = rng
        self.disk = Disk(config)
        self.birth = "first"
        self.tick_every = rng.choice(PACES)  # clocks of members differ
        self.disk_delay = rng.choice((1, 1, 3, 30))
        self.life = 0  # goes up with every crash: what was scheduled before is void
        self.core: Core | None = None
        self.start()

    @property
    def up(self) -> bool:
        return self.core is not None

    @property
    def leads(self) -> bool:
        return self.core is not None and self.core.state.role is Role.LEADER

    # -- life

    def start(self) -> None:
        durable = self.disk.load()
        self.machine = Registers()
        self.machine.restore(durable.snapshot.data)
        self.applied = durable.snapshot.index
        self.in_flight: Ready | None = None
        self.reads: dict[int, Any] = {}  # ticket → operation
        self.waiting_reads: list[tuple[int, Any]] = []
        self.core = Core(self.id, durable, self.rng, SETTINGS)
        self.births: dict[str, str] = {}  # of the others, as the transport knows them
        self._config = Config()
        self.world.after(self.tick_every, self, self.tick)

    def crash(self) -> None:
        if self.in_flight is not None and self.rng.random() < 0.5:
            self.disk.write(self.in_flight)
        self.core = None
        self.life += 1

    def remembered(self) -> Config:
        """The configuration that it would start with."""
        return Core(self.id, self.disk.load(), Random(0), SETTINGS).state.config

    def lose_disk(self) -> None:
        """All that was on it is gone; what comes back is another life, that waits to be added."""
        self.crash()
        self.disk = Disk(Config())
        self.birth += "+"

    def tick(self) -> None:
        assert self.core is not None
        self.core.tick()
        self.world.after(self.tick_every, self, self.tick)
        self.pump()

    def receive(self, message: Message) -> None:
        assert self.core is not None
        self.core.step(message)
        self.pump()

    # -- the driver

    def pump(self) -> None:
        self._learn_births()
        while self.core is not None and self.in_flight is None and (ready := self.core.ready()) is not None:
            for message in ready.messages:
                self._send(message)
            if ready.must_persist:
                self.in_flight = ready
                self.world.after(1 + self.rng.randrange(self.disk_delay), self, self._written)
            else:
                self._finish(ready)
        self._compact()

    def _learn_births(self) -> None:
        if self.core is not None and self.core.state.config is not self._config:
            before, self._config = self._config, self.core.state.config
            self.births |= {id: b for id, b in self._config.births.items() if before.births.get(id) != b}

    def _written(self) -> None:
        assert self.in_flight is not None
        ready, self.in_flight = self.in_flight, None
        self.disk.write(ready)
        self._finish(ready)
        self.pump()

    def _finish(self, ready: Ready) -> None:
        assert self.core is not None
        if ready.snapshot is not None:
            self.machine.restore(ready.snapshot.data)
            self.applied = ready.snapshot.index
        self.core.persisted(ready)
        for message in ready.replies:
            self._send(message)
        for entry in ready.committed:
            self._apply(entry)
        for read in ready.reads:
            if (operation := self.reads.pop(read.ticket, None)) is not None:
                self.waiting_reads.append((read.index, operation))
        self._serve_reads()

    def _send(self, message: Message) -> None:
        if isinstance(message, InstallSnapshot):
            message = msgspec.structs.replace(message, snapshot=self.disk.snapshot)
        if isinstance(message, VoteReply) and message.granted and not message.pre:
            self.world.checks.vote(message.sender + self.birth, message.term, message.to)
        self.world.carry(message)

    def _apply(self, entry: Entry) -> None:
        assert self.core is not None
        assert entry.index == self.applied + 1, "an entry is applied out of order"
        self.world.checks.apply(entry, self.core.state.term)
        self.applied = entry.index
        if entry.kind is EntryKind.DATA:
            self.machine.apply(entry)
            self.world.applied(self, decode(entry.data)[1])

    def _serve_reads(self) -> None:
        ready = [operation for index, operation in self.waiting_reads if index <= self.applied]
        self.waiting_reads = [(index, o) for index, o in self.waiting_reads if index > self.applied]
        for operation in ready:
            self.world.answer_read(self, operation)

    def _compact(self) -> None:
        if self.core is None or self.in_flight is not None:
            return
        log = self.core.state.log
        if self.applied == log.commit and self.applied - log.snapshot.index >= self.world.snapshot_every:
            config = self.core.state.config
            snapshot = Snapshot(self.applied, log.term(self.applied), config, self.machine.snapshot())
            self.disk.save_snapshot(snapshot)
            self.core.compact(snapshot, keep=self.rng.randrange(10))
