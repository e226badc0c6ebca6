"""The state in memory: one table per kind, immutable objects by id, and the ids by each index.

Every operation is constant work per object and key. Transactions, versions and events belong to transaction.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from manager.store.base import KINDS, Stored
from manager.store.indices import INDICES, Extract, name_of

Buckets = dict[str, dict[str, None]]  # key → ids, in order of arrival


class Table:
    """Objects of one kind."""

    def __init__(self, extracts: Mapping[str, Extract]) -> None:
        self.objects: dict[str, Any] = {}
        self._extracts = extracts
        self._indices: dict[str, Buckets] = {index: {} for index in extracts}

    def find(self, index: str, key: str) -> list[Any]:
        """Objects under `key`; raises KeyError for an index that this kind does not have."""
        key = key.lower() if index in ("name", "hostname") else key
        return [self.objects[id] for id in self._indices[index].get(key, ())]

    def set(self, before: Any | None, after: Any | None) -> None:
        """Replace `before` by `after`; None stands for absence."""
        self._index(before, after)
        if after is not None:
            self.objects[after.id] = after
        elif before is not None:
            del self.objects[before.id]

    def name_taken(self, object: Any) -> bool:
        """True where an object of another id has this object's name."""
        name = name_of(object)
        return bool(name) and any(id != object.id for id in self._indices["name"].get(name, ()))

    def _index(self, before: Any | None, after: Any | None) -> None:
        object: Any = after if after is not None else before
        for index, extract in self._extracts.items():
            old = extract(before) if before is not None else ()
            new = extract(after) if after is not None else ()
            if old != new:
                _move(self._indices[index], object.id, old, new)


def _move(buckets: Buckets, id: str, old: Any, new: Any) -> None:
    for key in old:
        if key not in new:
            del buckets[key][id]
            if not buckets[key]:
                del buckets[key]
    for key in new:
        if key not in old:
            buckets.setdefault(key, {})[id] = None


class Tables:
    """All tables at one revision."""

    def __init__(self) -> None:
        self.revision = 0
        self._tables: dict[type, Table] = {kind: Table(INDICES[kind]) for kind in KINDS}

    def __getitem__(self, kind: type) -> Table:
        return self._tables[kind]

    def set(self, before: Stored | None, after: Stored | None) -> None:
        found = after if after is not None else before
        self._tables[type(found)].set(before, after)

    def objects(self) -> Iterator[Stored]:
        for table in self._tables.values():
            yield from table.objects.values()
