"""Proposals on their way into etcd: all that wait go into few txns, and each learns its index once it was applied here.

A frame is put once and never twice, however often its txn is sent: the txn compares that its key does not exist, and
that the epoch is the one in the key's name. Frames are only ever deleted in epochs that are over, so a request that
arrives late cannot bring one back.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence

import msgspec

from common.errors import ShoalError, Unavailable
from manager.etcd.client import Client
from manager.etcd.election import Election, no_leader
from manager.etcd.follower import Follower, Results
from manager.etcd.keys import Frame, Keys, part, split
from manager.etcd.loader import decode_pointer
from manager.etcd.wire import KeyValue, Op, Txn, created, get, modified, put

LIMIT = 10_000  # proposals that may wait at once
FRAME = 1 << 20  # bytes: what fits into a request of etcd's 1.5 MiB, with room for keys and compares
FRAME_ENTRIES = 2_000
IN_FLIGHT = 2
_encode = msgspec.msgpack.Encoder().encode


class Proposal(msgspec.Struct, gc=False):
    data: bytes
    fence: int  # the leadership in which it may commit; 0: in any
    future: asyncio.Future[int]


class Proposer:
    """`patience` in seconds, how long a proposal waits."""

    def __init__(self, client: Client, keys: Keys, election: Election, patience: float) -> None:
        self._client = client
        self._keys = keys
        self._election = election
        self._patience = patience
        self._token = secrets.token_hex(8).encode()
        self._number = 0
        self._queue: deque[Proposal] = deque()
        self._sent: dict[bytes, list[Proposal]] = {}
        self._wake = asyncio.Event()
        self._waiting = 0

    async def propose(self, data: bytes, fence: int = 0) -> int:
        """See Log.propose."""
        if self._waiting >= LIMIT:
            raise Unavailable(f"{LIMIT} changes wait to be committed already: try again in a moment")
        proposal = Proposal(data, fence, asyncio.get_running_loop().create_future())
        self._queue.append(proposal)
        self._wake.set()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                return await proposal.future
        except TimeoutError:
            raise Unavailable("etcd did not take the change in time; it may still commit later") from None
        finally:
            self._waiting -= 1

    async def run(self, follower: Follower) -> None:
        """Send what waits, until cancelled."""
        slots = asyncio.Semaphore(IN_FLIGHT)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await slots.acquire()
                    group.create_task(self._send(await self._next(), follower, slots))
        finally:
            closed = Unavailable("the log is closed: no change can be committed")
            _fail([*self._queue, *(p for sent in self._sent.values() for p in sent)], closed)

    def applied(self, name: bytes, results: Results) -> None:
        """A frame was applied on this replica: it may be one of ours."""
        for proposal, (index, error) in zip(self._sent.pop(name, ()), results, strict=False):
            if proposal.future.done():
                continue
            if error is None:
                proposal.future.set_result(index)
            else:
                proposal.future.set_exception(error)

    async def _next(self) -> list[Proposal]:
        """As many as fit into one txn, all under the same fence."""
        while True:
            while self._queue and self._queue[0].future.done():  # nobody waits for it any more
                self._queue.popleft()
            if self._queue:
                break
            self._wake.clear()
            await self._wake.wait()
        batch = [self._queue.popleft()]
        size = len(batch[0].data)
        while self._queue and len(batch) < FRAME_ENTRIES and self._queue[0].fence == batch[0].fence:
            size += len(self._queue[0].data) + 8
            if size > FRAME:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _send(self, batch: list[Proposal], follower: Follower, slots: asyncio.Semaphore) -> None:
        self._number += 1
        name = self._token + b".%x" % self._number
        self._sent[name] = batch
        try:
            try:
                revision = await self._commit(name, batch, follower)
            finally:
                slots.release()
            await follower.reached(revision)
            # Still waiting here: a snapshot stood for the frame before this replica read it.
            _fail(
                batch,
                Unavailable("the change was committed, but what came of it is not known: look before trying again"),
            )
        except ShoalError as error:
            _fail(batch, error)
        finally:
            self._sent.pop(name, None)

    async def _commit(self, name: bytes, batch: list[Proposal], follower: Follower) -> int:
        """Put the frame; the revision at which it was put. Raises Unavailable, where it says so it may be there still."""
        epoch, fence = follower.epoch, batch[0].fence
        while True:
            frame = await self._frame(epoch, name, [proposal.data for proposal in batch])
            key = self._keys.entry(epoch, name)
            compare = [created(key, 0), modified(self._keys.pointer, epoch), *self._election.fenced(fence)]
            answer = await self._client.txn(
                compare, [put(key, frame), put(self._keys.head, b"")], [get(key), get(self._keys.pointer)]
            )
            if answer.succeeded:
                return answer.header.revision
            there, pointer = (response.response_range.first for response in answer.responses)
            if there.mod_revision:  # an earlier attempt arrived after all
                return there.mod_revision
            epoch = _next_epoch(epoch, pointer, fence)

    async def _frame(self, epoch: int, name: bytes, entries: Sequence[bytes]) -> bytes:
        """The value of the entry key. A single large entry goes ahead in parts, which count for nothing without it."""
        if sum(map(len, entries)) <= FRAME:
            return _encode(Frame(list(entries)))
        parts = split(entries[0], FRAME)
        under = self._keys.parts_of(epoch, name)
        for number, data in enumerate(parts):
            await self._put_part(part(under, number), data)
        return _encode(Frame([], len(parts)))

    async def _put_part(self, key: bytes, data: bytes) -> Txn:
        whole: list[Op] = [put(key, data)]
        return await self._client.txn([], whole)


def _next_epoch(epoch: int, pointer: KeyValue, fence: int) -> int:
    """The epoch in which to try again a frame that is not there. Raises Unavailable where that would not be safe."""
    if pointer.mod_revision == epoch:
        assert fence  # nothing else can have failed
        raise no_leader()
    if decode_pointer(pointer.value).previous != epoch:  # frames of `epoch` are deleted: it may have been among them
        raise Unavailable("this manager lags behind: whether the change was committed is not known")
    return pointer.mod_revision


def _fail(proposals: Sequence[Proposal], error: ShoalError) -> None:
    for proposal in proposals:
        if not proposal.future.done():
            proposal.future.set_exception(error)
