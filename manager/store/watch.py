"""The event stream of a store: every watcher sees each commit after its start exactly once, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakSet

from common.errors import Unavailable
from manager.store.base import Event

BACKLOG = 100_000  # events that a watcher may lag behind before it is cut off


class Watch:
    """One watcher's stream. It registers when it is made, and goes when nobody holds it any more."""

    def __init__(self, backlog: int = BACKLOG) -> None:
        self._events: deque[Event] = deque()
        self._backlog = backlog
        self._lost = False
        self._wake = asyncio.Event()

    def push(self, event: Event) -> None:
        self._lost = self._lost or len(self._events) >= self._backlog
        if self._lost:
            self._events.clear()
        else:
            self._events.append(event)
        self._wake.set()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Event:
        """The next event; raises Unavailable once this watcher fell too far behind: it has to read the state anew."""
        while not self._events:
            if self._lost:
                raise Unavailable(f"a watcher fell more than {self._backlog} changes behind and was cut off")
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class Watchers:
    """Fan-out to all living watchers; publishing never waits."""

    def __init__(self) -> None:
        self._watches: WeakSet[Watch] = WeakSet()

    def watch(self) -> Watch:
        watch = Watch()
        self._watches.add(watch)
        return watch

    def publish(self, event: Event) -> None:
        for watch in tuple(self._watches):
            watch.push(event)
