"""Engine events: published by the parts of the worker, streamed by GET /events, kept for a while so that `since` works."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping

import msgspec

KEEP = 1024  # events, as Docker keeps for `since`
BACKLOG = 4096  # events that a slow subscriber may lag behind before it is cut off


class Actor(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="ID")
    attributes: dict[str, str] = msgspec.field(default_factory=dict, name="Attributes")


class EngineEvent(msgspec.Struct, frozen=True):
    """One event in Docker's shape; `time_nano` in nanoseconds since the epoch."""

    type: str = msgspec.field(name="Type")  # container, image, volume, network, daemon, service, node, secret, config
    action: str = msgspec.field(name="Action")
    actor: Actor = msgspec.field(name="Actor")
    time: int
    time_nano: int = msgspec.field(name="timeNano")
    scope: str = "local"


class EventBus:
    """Fan-out to any number of subscribers; publishing never waits."""

    def __init__(self) -> None:
        self._recent: deque[EngineEvent] = deque(maxlen=KEEP)
        self._subscribers: set[asyncio.Queue[EngineEvent | None]] = set()

    def publish(
        self,
        type: str,
        action: str,
        id: str,
        attributes: Mapping[str, str] | None = None,
        *,
        scope: str = "local",
    ) -> None:
        now = time.time_ns()
        event = EngineEvent(type, action, Actor(id, dict(attributes or {})), now // 1_000_000_000, now, scope)
        self._recent.append(event)
        for queue in tuple(self._subscribers):
            if queue.full():
                self._subscribers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def recent(self) -> tuple[EngineEvent, ...]:
        return tuple(self._recent)

    async def subscribe(self, *, since_nano: int | None = None) -> AsyncGenerator[EngineEvent, None]:
        """Events from `since_nano` on (None: from now), until the caller stops or lags behind too far."""
        queue: asyncio.Queue[EngineEvent | None] = asyncio.Queue(BACKLOG)
        past = [e for e in self._recent if e.time_nano >= since_nano] if since_nano is not None else []
        self._subscribers.add(queue)
        try:
            for event in past:
                yield event
            while (new := await queue.get()) is not None:
                yield new
        finally:
            self._subscribers.discard(queue)
