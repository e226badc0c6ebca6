"""How a transaction meets the state: version and name checks in log order, all of its changes or none.

Pure and deterministic, so that every replica decides alike. Encoding belongs to codec.py.
"""

from __future__ import annotations

from datetime import datetime
from sys import intern

import msgspec
from msgspec.structs import replace

from common.errors import VersionConflict
from common.model import Task, Version
from manager.store.base import Changed, Event, Stored
from manager.store.tables import Tables


class Edit(msgspec.Struct, frozen=True, gc=False):
    """One change as it stands in the log: `object` None removes; `version` is what the writer saw, 0 for a new one. `received`
    are the object's bytes."""

    kind: type
    id: str
    version: int
    object: Stored | None
    received: bytes = b""


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """`at` is the proposer's clock: it becomes created_at and updated_at on every replica."""

    at: datetime
    edits: tuple[Edit, ...]


def execute(tables: Tables, index: int, transaction: Transaction) -> Event:
    """Change `tables` and return what was changed, at revision `index`; raises VersionConflict with nothing changed."""
    done: list[Changed] = []
    version = Version(index=index)
    try:
        for edit in transaction.edits:
            changed = _execute_one(tables, version, transaction.at, edit)
            done.append(changed)
    except VersionConflict:
        for changed in reversed(done):
            tables.set(changed.after, changed.before)
        raise
    tables.revision = index
    return Event(index, tuple(done))


def _execute_one(tables: Tables, version: Version, at: datetime, edit: Edit) -> Changed:
    table = tables[edit.kind]
    before = table.objects.get(edit.id)
    _check_version(before, edit)
    after = _stamp(edit.object, before, version, at) if edit.object is not None else None
    if after is not None and table.name_taken(after):
        raise _name_conflict(after)
    table.set(before, after)
    return Changed(before, after)


def _check_version(before: Stored | None, edit: Edit) -> None:
    there = before is not None or edit.object is not None  # a removal needs something to remove
    if there and edit.version == (before.version.index if before is not None else 0):
        return
    kind = edit.kind.__name__.lower()
    what = "does not exist any more" if before is None else f"is at version {before.version.index}"
    raise VersionConflict(
        f"update out of sequence: {kind} {edit.id} {what}, the change was made on {edit.version}: read it again",
        (kind, edit.id),
    )


def _name_conflict(object: Stored) -> VersionConflict:
    kind, name = type(object).__name__.lower(), getattr(object.spec, "name", "")
    return VersionConflict(f"name conflicts with an existing object: {kind} {name} already exists", (kind, name))


def _stamp(object: Stored, before: Stored | None, version: Version, at: datetime) -> Stored:
    """The object as it is kept. Texts that very many tasks share are kept once."""
    stamps = {"version": version, "created_at": at if before is None else before.created_at, "updated_at": at}
    if isinstance(object, Task):
        return replace(object, service_id=intern(object.service_id), node_id=intern(object.node_id), **stamps)
    return replace(object, **stamps)
