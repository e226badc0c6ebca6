"""Transactions and snapshots as MessagePack: what the log and its snapshots carry.

Each object is encoded on its own inside its change, so that it decodes straight into its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from manager.store.base import KINDS, Change, Put, Stored
from manager.store.move import Move
from manager.store.transaction import Edit, Transaction

_KINDS = {kind.__name__: kind for kind in KINDS}
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


def encode_transaction(changes: Sequence[Change], at: datetime) -> bytes:
    return _encode(_Entry(at, [_pack(change) for change in changes]))


def encode_move(move: Move, at: datetime) -> bytes:
    """The entry that ends a log."""
    return _encode(_Entry(at, [], move))


def decode_transaction(data: bytes) -> Transaction | Move:
    """Raises msgspec.ValidationError on bytes that are no transaction of this version."""
    entry = _decode_entry(data)
    if entry.move is not None:
        return entry.move
    return Transaction(entry.at, tuple(_unpack(change) for change in entry.changes))


def encode_snapshot(revision: int, objects: Iterable[Stored], left: tuple[int, Move] | None = None) -> bytes:
    return _encode(_Snapshot(revision, [(type(o).__name__, msgspec.Raw(_encode(o))) for o in objects], left))


def decode_snapshot(data: bytes) -> tuple[int, list[Stored], tuple[int, Move] | None]:
    """The revision, all objects at it, and where the log was left: the index of its last entry that counts."""
    snapshot = _decode_snapshot(data)
    return snapshot.revision, [_DECODE[kind](raw) for kind, raw in snapshot.objects], snapshot.left


def _pack(change: Change) -> _Change:
    object = change.object
    raw = msgspec.Raw(_encode(object)) if isinstance(change, Put) else _NIL
    return _Change(type(object).__name__, object.id, object.version.index, raw)


def _unpack(change: _Change) -> Edit:
    object = _DECODE[change.kind](change.object) if change.object != _NIL else None
    return Edit(_KINDS[change.kind], change.id, change.version, object)
