"""What must not be collected yet although no record names it: layers and blobs of work that is under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Hold:
    """The pins of one piece of work: chain ids and blob digests."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._mine: list[str] = []

    def add(self, *names: str) -> None:
        self._mine.extend(names)
        self._counts.update(names)

    def drop(self) -> None:
        self._counts.subtract(self._mine)
        self._mine.clear()


class Pins:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def __contains__(self, name: str) -> bool:
        return self._counts[name] > 0

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """What is added to the hold stays until the block ends, however it ends."""
        hold = Hold(self._counts)
        try:
            yield hold
        finally:
            hold.drop()
