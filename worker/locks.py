"""Locks by name: what concerns one thing waits for its turn, what concerns another does not wait for it."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class Locks:
    """`async with locks["name"]: …`; a lock exists while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __getitem__(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock
