"""Reading the log as it was at one revision of etcd: the snapshot that the pointer names, and the frames after it.

etcd keeps old revisions until it is compacted, so what is deleted meanwhile is still there; where a compaction comes in
between, everything is read again at a newer revision.
"""

from __future__ import annotations

import hashlib

import msgspec

from common.errors import ShoalError, Unavailable
from manager.etcd.client import Client, Compacted
from manager.etcd.keys import Frame, Keys, Pointer, below
from manager.etcd.wire import KeyValue, created, put

FORMAT = 1
_frame = msgspec.msgpack.Decoder(Frame).decode
_pointer = msgspec.json.Decoder(Pointer).decode


class Entries(msgspec.Struct, frozen=True):
    """One frame as it was committed: by whom, at which revision of etcd, and the entries themselves."""

    name: bytes
    revision: int
    entries: list[bytes]

    @property
    def size(self) -> int:
        return sum(len(entry) for entry in self.entries)


class Loaded(msgspec.Struct, frozen=True):
    """All that is durable at `revision`. `state` is None where the reader has it already, or where there is none."""

    revision: int
    epoch: int
    pointer: Pointer
    state: bytes | None
    frames: list[Entries]


class Loader:
    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def load(self, known: int = -1) -> Loaded:
        """Read all, without the snapshot where it ends at revision `known` or before."""
        while True:
            try:
                return await self._load(known)
            except Compacted:
                continue

    async def _load(self, known: int) -> Loaded:
        found = await self._client.range(self._keys.pointer)
        if not found.kvs:
            await self._begin()
            found = await self._client.range(self._keys.pointer)
        at, pointer = found.header.revision, decode_pointer(found.first.value)
        if pointer.arriving:
            raise Unavailable(
                "the cluster's state is still on its way to etcd: the managers that move it have to finish"
            )
        state = await self._state(pointer, at) if pointer.id and pointer.revision > known else None
        kvs = await self._client.pages(self._keys.entries, at)
        frames = [await self.frame(kv, at) for kv in kvs if kv.mod_revision > pointer.revision]
        whole = [frame for frame in frames if frame is not None]
        if len(whole) < len(frames):
            raise ShoalError(
                f"the log in etcd below {self._keys.log.decode()} is damaged: parts of an entry are missing"
            )
        return Loaded(at, found.first.mod_revision, pointer, state, sorted(whole, key=lambda f: f.revision))

    async def frame(self, kv: KeyValue, at: int = 0) -> Entries | None:
        """The entries of an entry key, its parts read at revision `at`; None where these are gone."""
        frame = _frame(kv.value)
        epoch, name = kv.key[len(self._keys.entries) :].split(b"/", 1)
        if not frame.parts:
            return Entries(name, kv.mod_revision, frame.entries)
        parts = await self._client.pages(self._keys.parts_of(int(epoch, 16), name), at)
        if len(parts) != frame.parts:
            return None
        return Entries(name, kv.mod_revision, [b"".join(part.value for part in parts)])

    async def _begin(self) -> None:
        """Nobody used this prefix before: the log begins with nothing."""
        empty = put(self._keys.pointer, msgspec.json.encode(Pointer()))
        await self._client.txn([created(self._keys.pointer, 0)], [empty])

    async def _state(self, pointer: Pointer, at: int) -> bytes:
        parts = await self._client.pages(below(self._keys.snapshot(pointer.id))[0], at)
        state = b"".join(part.value for part in parts)
        if hashlib.sha256(state).hexdigest() != pointer.digest:
            raise ShoalError(
                f"the snapshot in etcd below {self._keys.snapshot(pointer.id).decode()} is damaged: "
                f"{len(parts)} of {pointer.parts} parts are there: restore etcd from its backup"
            )
        return state


def decode_pointer(value: bytes) -> Pointer:
    pointer = _pointer(value)
    if pointer.format > FORMAT:
        raise ShoalError(
            f"the log in etcd has format {pointer.format}, which a newer Shoal wrote; this one knows {FORMAT}: upgrade it"
        )
    return pointer
