"""Reading the state: a window on the live tables, consistent as long as its reader does not await."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from manager.store.base import T
from manager.store.tables import Tables


class LiveView:
    """A View over `tables`; `now` is the clock at the moment the view was taken."""

    def __init__(self, tables: Tables, now: datetime) -> None:
        self._tables = tables
        self._now = now

    @property
    def revision(self) -> int:
        return self._tables.revision

    @property
    def now(self) -> datetime:
        return self._now

    def get(self, kind: type[T], id: str) -> T | None:
        return self._tables[kind].objects.get(id)

    def all(self, kind: type[T]) -> Collection[T]:
        return self._tables[kind].objects.values()

    def find(self, kind: type[T], index: str, key: str) -> Sequence[T]:
        return self._tables[kind].find(index, key)

    def sizes(self, kind: type[T], index: str) -> Mapping[str, int]:
        return self._tables[kind].sizes(index)

    def count(self, kind: type[T]) -> int:
        return len(self._tables[kind].objects)
