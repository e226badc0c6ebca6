"""Transactions and snapshots as MessagePack: what the log and its snapshots carry.

Each object is encoded on its own inside its change, so that it decodes straight into its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from common.errors import ShoalError
from manager.store.base import KINDS, Change, Put, Stored
from manager.store.foreign import Foreign
from manager.store.move import Move
from manager.store.transaction import Edit, Transaction

T = TypeVar("T")
_KINDS: dict[str, type] = {kind.__name__: kind for kind in KINDS}
_DECODE: dict[str, Callable[[msgspec.Raw], Stored]] = {
    name: msgspec.msgpack.Decoder(kind).decode for name, kind in _KINDS.items()
}


class _Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    kind: str
    id: str
    version: int
    object: msgspec.Raw  # nil removes


class _Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    at: datetime
    changes: list[_Change]
    move: Move | None = None


class _Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    revision: int
    objects: list[tuple[str, msgspec.Raw]]
    left: tuple[int, Move] | None = None


_encode = msgspec.msgpack.Encoder().encode
_NIL = msgspec.Raw(_encode(None))
_decode_entry = msgspec.msgpack.Decoder(_Entry).decode
_decode_snapshot = msgspec.msgpack.Decoder(_Snapshot).decode


def encode_transaction(changes: Sequence[Change], at: datetime, foreign: Foreign) -> bytes:
    return _encode(_Entry(at, [_pack(change, foreign) for change in changes]))


def encode_move(move: Move, at: datetime) -> bytes:
    """The entry that ends a log."""
    return _encode(_Entry(at, [], move))


def decode_transaction(data: bytes) -> Transaction | Move:
    """Raises msgspec.ValidationError on bytes that are no transaction, ShoalError on one that only a later version knows."""
    entry = _decode_entry(data)
    if entry.move is not None:
        return entry.move
    return Transaction(entry.at, tuple(_unpack(change) for change in entry.changes))


def encode_snapshot(
    revision: int, objects: Iterable[Stored], foreign: Foreign, left: tuple[int, Move] | None = None
) -> bytes:
    return _encode(_Snapshot(revision, [_kept(object, foreign) for object in objects], left))


def decode_snapshot(data: bytes) -> tuple[int, list[tuple[Stored, bytes]], tuple[int, Move] | None]:
    """The revision, all objects at it with their bytes, and where the log was left: the index of its last entry that counts."""
    snapshot = _decode_snapshot(data)
    objects = [(_of_kind(_DECODE, kind)(raw), bytes(raw)) for kind, raw in snapshot.objects]
    return snapshot.revision, objects, snapshot.left


def _kept(object: Stored, foreign: Foreign) -> tuple[str, msgspec.Raw]:
    kind = type(object).__name__
    return kind, msgspec.Raw(foreign.encode((kind, object.id), object))


def _pack(change: Change, foreign: Foreign) -> _Change:
    kind, raw = _kept(change.object, foreign) if isinstance(change, Put) else (type(change.object).__name__, _NIL)
    return _Change(kind, change.object.id, change.object.version.index, raw)


def _unpack(change: _Change) -> Edit:
    kind = _of_kind(_KINDS, change.kind)
    if change.object == _NIL:
        return Edit(kind, change.id, change.version, None)
    return Edit(kind, change.id, change.version, _DECODE[change.kind](change.object), bytes(change.object))


def _of_kind(known: Mapping[str, T], kind: str) -> T:
    if kind not in known:
        raise ShoalError(
            f"the cluster's state has objects of kind {kind}, which this version does not know: upgrade it"
        )
    return known[kind]
