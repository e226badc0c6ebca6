"""Snapshots: the leader writes the state in parts, then one fenced txn names it and deletes all that it stands for.

Nobody can come in between: a manager that was replaced meanwhile fails the compare and leaves only parts, which the next
snapshot deletes. Readers that began before are served from etcd's history. Frames of the epoch that ends stay until the
next snapshot, so that a txn that was sent twice finds its first self.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets

import msgspec
import structlog
from msgspec.structs import replace

from common.errors import NoSpace, Unavailable
from manager.etcd.client import Client
from manager.etcd.election import Election
from manager.etcd.follower import Follower
from manager.etcd.keys import Keys, Pointer, part, split
from manager.etcd.wire import after, delete, modified, put
from manager.store.log import Machine

log = structlog.get_logger()
PART = 1 << 20  # bytes
PAUSE = 10.0  # seconds before another try after a failure


class Compactor:
    """`every` in entries, `size` in bytes of entries: what makes a snapshot worth while."""

    def __init__(self, client: Client, keys: Keys, election: Election, machine: Machine, every: int, size: int) -> None:
        self._client = client
        self._keys = keys
        self._election = election
        self._machine = machine
        self._every = every
        self._size = size
        self.taken = 0  # snapshots that count

    async def run(self, follower: Follower) -> None:
        """Take snapshots while this manager leads, until cancelled."""
        while True:
            await self._election.leadership(True)
            follower.moved.clear()
            if not self._due(follower):
                await follower.moved.wait()
                continue
            try:
                await self._compact(follower)
            except (Unavailable, NoSpace) as error:
                log.warning("no snapshot could be taken in etcd", error=error.message)
                await asyncio.sleep(PAUSE)

    def _due(self, follower: Follower) -> bool:
        return follower.index - follower.pointer.index >= self._every or follower.size >= self._size

    async def _compact(self, follower: Follower) -> None:
        fence, epoch = self._election.fence(), follower.epoch
        index, revision, encode = follower.index, follower.revision, self._machine.snapshot()
        if not fence:
            raise Unavailable("this manager leads no more")
        state = await asyncio.to_thread(encode)
        written = await write_snapshot(self._client, self._keys, state)
        pointer = replace(written, index=index, revision=revision, previous=epoch, origin=follower.pointer.origin)
        kept = self._keys.snapshot(pointer.id)
        answer = await self._client.txn(
            [*self._election.fenced(fence), modified(self._keys.pointer, epoch)],
            [
                put(self._keys.pointer, msgspec.json.encode(pointer)),
                delete(self._keys.entries, self._keys.epoch(self._keys.entries, epoch)),
                delete(self._keys.parts, self._keys.epoch(self._keys.parts, epoch)),
                delete(self._keys.snapshots, kept),
                delete(after(kept), after(self._keys.snapshots)),
            ],
        )
        self.taken += answer.succeeded
        await follower.reached(answer.header.revision if answer.succeeded else 0)
        log.info("took a snapshot in etcd", index=index, parts=pointer.parts, counts=answer.succeeded)


async def write_snapshot(client: Client, keys: Keys, state: bytes) -> Pointer:
    """Write the parts of a snapshot and return what a pointer to it says of them: nothing else speaks of them yet."""
    id = secrets.token_hex(8)
    parts = split(state, PART)
    for number, data in enumerate(parts):
        await client.txn([], [put(part(keys.snapshot(id), number), data)])
    return Pointer(id=id, parts=len(parts), digest=hashlib.sha256(state).hexdigest())
