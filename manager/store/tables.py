"""The state in memory: one table per kind, immutable objects by id, and the ids by each index.

Every operation is constant work per object and key. Transactions, versions and events belong to transaction.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from manager.store.base import KINDS, Stored
from manager.store.indices import INDICES, Index, name_of

Bucket = str | dict[str, None]  # one id, as most keys have, or ids in order of arrival
Buckets = dict[str, Bucket]  # by key


class Table:
    """Objects of one kind."""

    def __init__(self, indices: Mapping[str, Index]) -> None:
        self.objects: dict[str, Any] = {}
        self._buckets: dict[str, Buckets] = {name: {} for name in indices}
        self._indices = [(index.source, index.keys, self._buckets[name]) for name, index in indices.items()]

    def find(self, index: str, key: str) -> list[Any]:
        """Objects under `key`; raises KeyError for an index that this kind does not have."""
        key = key.lower() if index in ("name", "hostname") else key
        return [self.objects[id] for id in _ids(self._buckets[index], key)]

    def sizes(self, index: str) -> dict[str, int]:
        """How many objects each key of the index has."""
        return {key: 1 if isinstance(ids, str) else len(ids) for key, ids in self._buckets[index].items()}

    def set(self, before: Any | None, after: Any | None) -> None:
        """Replace `before` by `after`; None stands for absence."""
        if after is None:
            self._remove(before)
        elif before is None:
            self._add(after)
        else:
            self._replace(before, after)

    def name_taken(self, object: Any) -> bool:
        """True where an object of another id has this object's name."""
        name = name_of(object)
        return bool(name) and any(id != object.id for id in _ids(self._buckets["name"], name))

    def _add(self, object: Any) -> None:
        self.objects[object.id] = object
        for _, keys, buckets in self._indices:
            for key in keys(object):
                _enter(buckets, key, object.id)

    def _remove(self, object: Any) -> None:
        del self.objects[object.id]
        for _, keys, buckets in self._indices:
            for key in keys(object):
                _leave(buckets, key, object.id)

    def _replace(self, before: Any, after: Any) -> None:
        id = after.id
        self.objects[id] = after
        for source, keys, buckets in self._indices:
            if source(before) == source(after):
                continue
            old, new = keys(before), keys(after)
            for key in old:
                if key not in new:
                    _leave(buckets, key, id)
            for key in new:
                if key not in old:
                    _enter(buckets, key, id)


def _ids(buckets: Buckets, key: str) -> Iterable[str]:
    bucket = buckets.get(key, ())
    return (bucket,) if isinstance(bucket, str) else bucket


def _enter(buckets: Buckets, key: str, id: str) -> None:
    bucket = buckets.setdefault(key, id)
    if isinstance(bucket, dict):
        bucket[id] = None
    elif bucket != id:
        buckets[key] = {bucket: None, id: None}


def _leave(buckets: Buckets, key: str, id: str) -> None:
    bucket = buckets[key]
    if isinstance(bucket, dict):
        del bucket[id]
        if bucket:
            return
    del buckets[key]


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
