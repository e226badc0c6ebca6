"""Who waits for what in a member: proposals for their entry to be applied, readers for an index to be applied.

Entries carry their proposer's token and number in front of the data, so that the proposer recognises its own, on
whichever member it proposed.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable

from common.errors import ShoalError, Unavailable

_HEADER = struct.Struct("<8sQ")
LIMIT = 10_000  # proposals that may wait at once
Proposal = tuple[int, float, asyncio.Future[int]]  # deadline in ticks, when it began, what its proposer waits for


class Proposals:
    """Futures of proposals by number; each resolves to the index of its entry, or to why it did nothing."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        """`observe` is told how many seconds passed until each proposal was applied."""
        self._observe = observe
        self._token = secrets.token_bytes(8)
        self._number = 0
        self._waiting: dict[int, Proposal] = {}
        self._queue: dict[int, bytes] = {}  # not offered to a leader yet
        self._fenced: dict[int, int] = {}  # of these, the ones that only this member may take, and in which term

    def add(self, data: bytes, deadline: int, term: int = 0) -> asyncio.Future[int]:
        """Queue `data`; its future fails at tick `deadline`. A `term` fences it: see `fence`. Raises Unavailable where
        too many wait."""
        if len(self._waiting) >= LIMIT:
            raise Unavailable(f"{LIMIT} changes wait to be committed already: try again in a moment")
        self._number += 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._waiting[self._number] = (deadline, loop.time(), future)
        self._queue[self._number] = _HEADER.pack(self._token, self._number) + data
        if term:
            self._fenced[self._number] = term
        return future

    def fence(self, term: int) -> None:
        """This member leads in `term` (0: not at all): fail what is queued for its leadership in another."""
        for number in [number for number, wanted in self._fenced.items() if wanted != term]:
            del self._fenced[number]
            self._queue.pop(number, None)
            if (found := self._waiting.pop(number, None)) is not None:
                _fail(found[2], no_leader())

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def queued(self) -> list[bytes]:
        """The entries that nobody has taken yet."""
        return list(self._queue.values())

    def offered(self) -> None:
        """A leader took all that was queued."""
        self._queue.clear()
        self._fenced.clear()

    def resolve(self, entry: bytes, index: int, error: ShoalError | None) -> None:
        token, number = _HEADER.unpack_from(entry)
        if token != self._token or (found := self._waiting.pop(number, None)) is None:
            return
        _, begun, future = found
        self._observe(future.get_loop().time() - begun)
        if future.done():
            return
        if error is None:
            future.set_result(index)
        else:
            future.set_exception(error)

    def expire(self, now: int) -> None:
        """Fail what waited until tick `now`; deadlines were given in order."""
        while self._waiting:
            number, (deadline, _, future) = next(iter(self._waiting.items()))
            if deadline > now:
                return
            del self._waiting[number]
            self._queue.pop(number, None)
            self._fenced.pop(number, None)
            _fail(future, Unavailable("no quorum of managers took the change in time; it may still commit later"))

    def fail(self, error: ShoalError, *, offered: bool = False) -> None:
        """Fail everything that waits, or only what was offered to a leader."""
        for number in [number for number in self._waiting if not (offered and number in self._queue)]:
            self._queue.pop(number, None)
            self._fenced.pop(number, None)
            _fail(self._waiting.pop(number)[2], error)


class Barriers:
    """Readers: first they wait for a ticket's index, then for that index to be applied."""

    def __init__(self) -> None:
        self._ticket = 0
        self._new: list[asyncio.Future[None]] = []
        self._asked: dict[int, list[asyncio.Future[None]]] = {}
        self._indexed: list[tuple[int, list[asyncio.Future[None]]]] = []

    def add(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._new.append(future)
        return future

    def ticket(self) -> int:
        """A ticket for all that wait without one; 0 where there are none."""
        if not self._new:
            return 0
        self._ticket += 1
        self._asked[self._ticket], self._new = self._new, []
        return self._ticket

    def answered(self, ticket: int, index: int) -> None:
        if (futures := self._asked.pop(ticket, None)) is not None:
            self._indexed.append((index, futures))

    def applied(self, index: int) -> None:
        done = [futures for wanted, futures in self._indexed if wanted <= index]
        if done:
            self._indexed = [(wanted, futures) for wanted, futures in self._indexed if wanted > index]
        for future in (f for futures in done for f in futures):
            if not future.done():
                future.set_result(None)

    def retry(self) -> None:
        """The leader that was asked is gone: ask anew."""
        asked, self._asked = self._asked, {}
        self._new.extend(future for futures in asked.values() for future in futures if not future.done())

    def fail(self, error: ShoalError) -> None:
        self.retry()
        waiting = [*self._new, *(f for _, futures in self._indexed for f in futures)]
        self._new, self._indexed = [], []
        for future in waiting:
            _fail(future, error)


def no_leader() -> Unavailable:
    return Unavailable("this manager leads no more, so it did not make the change: the present leader sees to it")


def unwrap(entry: bytes) -> bytes:
    """The data that was proposed."""
    return entry[_HEADER.size :]


def _fail(future: asyncio.Future[int] | asyncio.Future[None], error: ShoalError) -> None:
    if not future.done():
        future.set_exception(error)
