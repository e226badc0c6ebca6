"""The store: tables in memory over a Log, transactions in, events out.

It owns what entries mean (StateMachine) and the way from a list of Changes to a committed revision (StateStore);
durability, order and leadership are the Log's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from common.errors import VersionConflict
from manager.store.base import Change, Changed, Event, Stored
from manager.store.codec import (
    decode_snapshot,
    decode_transaction,
    encode_move,
    encode_snapshot,
    encode_transaction,
)
from manager.store.foreign import Foreign
from manager.store.log import Log
from manager.store.move import Left, Move, Moved
from manager.store.tables import Tables
from manager.store.transaction import execute
from manager.store.view import LiveView
from manager.store.watch import Watch, Watchers

Clock = Callable[[], datetime]
Observe = Callable[[float], None]


def system_clock() -> datetime:
    return datetime.now(UTC)


class StateMachine:
    """What the log drives: applies transactions to the tables and tells the watchers."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.watchers = Watchers()
        self.foreign = Foreign()
        self.left: tuple[int, Move] | None = None  # the entry after which nothing counts, and where the state went
        self.ended = asyncio.Event()

    def apply(self, index: int, data: bytes) -> VersionConflict | Left | None:
        if self.left is not None:
            return Left(self.left[1])
        transaction = decode_transaction(data)
        if isinstance(transaction, Move):
            self._end(index, transaction)
            return None
        try:
            event = execute(self.tables, index, transaction)
        except VersionConflict as conflict:
            return conflict
        for edit in transaction.edits:
            self.foreign.note((edit.kind.__name__, edit.id), edit.received, edit.object)
        self.watchers.publish(event)
        return None

    def snapshot(self) -> Callable[[], bytes]:
        revision, objects, left = self.tables.revision, tuple(self.tables.objects()), self.left
        foreign = self.foreign.copy()
        return lambda: encode_snapshot(revision, objects, foreign, left)

    def legacy(self) -> Callable[[], bytes]:
        """The same as the first snapshot of the log in which the state goes on."""
        revision, objects, foreign = self.tables.revision, tuple(self.tables.objects()), self.foreign.copy()
        return lambda: encode_snapshot(revision, objects, foreign)

    def restore(self, index: int, data: bytes) -> None:
        """Watchers see the jump as one event: the difference between what was and what is now."""
        revision, received, left = decode_snapshot(data)
        self.foreign = Foreign()
        for object, raw in received:
            self.foreign.note((type(object).__name__, object.id), raw, object)
        changes = _difference(self.tables, [object for object, _ in received])
        for changed in changes:
            self.tables.set(changed.before, changed.after)
        self.tables.revision = revision
        if changes:
            self.watchers.publish(Event(revision, changes))
        if left is not None:
            self._end(*left)

    def _end(self, index: int, move: Move) -> None:
        self.left = index, move
        self.ended.set()


def _difference(tables: Tables, objects: Sequence[Stored]) -> tuple[Changed, ...]:
    wanted = {(type(o), o.id): o for o in objects}
    gone = [Changed(o, None) for o in tables.objects() if (type(o), o.id) not in wanted]
    changed = [Changed(tables[kind].objects.get(id), o) for (kind, id), o in wanted.items()]
    return (*gone, *(c for c in changed if c.before is None or c.before.version != c.object.version))


class StateStore:
    """A Store (see base.py) over any Log."""

    def __init__(self, log: Log, machine: StateMachine, clock: Clock, observe: Observe = lambda seconds: None) -> None:
        self._log = log
        self._machine = machine
        self._clock = clock
        self._observe = observe

    def view(self) -> LiveView:
        return LiveView(self._machine.tables, self._clock())

    async def commit(self, changes: Sequence[Change], *, leading: bool = False) -> int:
        if not changes:
            return self._machine.tables.revision
        begin = time.perf_counter()
        revision = await self._log.propose(
            encode_transaction(changes, self._clock(), self._machine.foreign), leading=leading
        )
        self._observe(time.perf_counter() - begin)
        return revision

    def watch(self) -> Watch:
        return self._machine.watchers.watch()

    def capture(self) -> tuple[int, Callable[[], bytes]]:
        """The present revision and what encodes the state at it, for a log of its own; that may run in another thread."""
        return self._machine.tables.revision, self._machine.legacy()

    async def move(self, move: Move) -> None:
        """Commit that the state goes on elsewhere: nothing after it counts. Raises Left where it moved before."""
        await self._log.propose(encode_move(move, self._clock()))

    async def until_moved(self) -> None:
        """Wait for the log's end, for ever where it has none. Raises Moved."""
        await self._machine.ended.wait()
        assert self._machine.left is not None
        index, move = self._machine.left
        raise Moved(move, index, self._machine.legacy())

    async def barrier(self) -> None:
        """Return once the view holds everything that was committed before the call, on whatever manager."""
        await self._log.barrier()

    def is_leader(self) -> bool:
        return self._log.is_leader()

    async def leadership(self, wanted: bool) -> None:
        await self._log.leadership(wanted)


@asynccontextmanager
async def open_store(
    log: Log, clock: Clock = system_clock, observe: Observe = lambda seconds: None
) -> AsyncIterator[StateStore]:
    """The store over `log`, its past replayed, as long as the context is open. Raises what Log.run raises.

    `observe` is told how many seconds each commit took.
    """
    machine = StateMachine()
    async with log.run(machine):
        yield StateStore(log, machine, clock, observe)
