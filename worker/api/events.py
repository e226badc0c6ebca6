"""GET /events: the engine's events and, brought in from the manager, the cluster's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import aiohttp
import msgspec
from aiohttp import web

from common import http
from common.filters import Filters
from common.moments import moment
from worker.api.cluster import Manager
from worker.engine.events import EngineEvent, EventBus

_RETRY = 0.05  # seconds between tries to hear a manager's events
_OBJECTS = ("config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume")
_FILTERS = (*_OBJECTS, "event", "image", "label", "scope", "type")


class Events:
    """`listeners`: how many clients listen now."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self.listeners = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/events", self.events, allow_head=False)]

    async def events(self, request: web.Request) -> web.StreamResponse:
        filters = Filters.parse(request.query.get("filters"), _FILTERS)
        since, until = (moment(text) if (text := request.query.get(name)) else None for name in ("since", "until"))
        past = until is not None and until <= time.time_ns()
        lines = self._past(filters, since or 0, until or 0) if past else self._live(filters, since, until)
        self.listeners += 1
        try:
            return await http.stream(request, lines)
        finally:
            self.listeners -= 1

    async def _past(self, filters: Filters, since: int, until: int) -> AsyncGenerator[bytes, None]:
        for event in self._bus.recent():
            if since <= event.time_nano <= until and wanted(event, filters):
                yield _line(event)

    async def _live(self, filters: Filters, since: int | None, until: int | None) -> AsyncGenerator[bytes, None]:
        limit = None if until is None else (until - time.time_ns()) / 1e9
        with suppress(TimeoutError):
            async with asyncio.timeout(limit), aclosing(self._bus.subscribe(since_nano=since)) as events:
                async for event in events:
                    if wanted(event, filters):
                        yield _line(event)


def _line(event: EngineEvent) -> bytes:
    """One event, with the fields that older clients still read."""
    fields = msgspec.to_builtins(event)
    if event.type == "container":
        fields |= {"status": event.action, "id": event.actor.id, "from": event.actor.attributes.get("image", "")}
    return msgspec.json.encode(fields) + b"\n"


def wanted(event: EngineEvent, filters: Filters) -> bool:
    """Whether the event passes all filters; one that names an object passes events of that object only."""
    return (
        filters.exact("type", event.type)
        and filters.exact("scope", event.scope)
        and (filters.exact("event", event.action) or filters.exact("event", event.action.split(":")[0]))
        and filters.labels(event.actor.attributes)
        and all(_is_about(event, kind, filters) for kind in _OBJECTS)
        and _has_image(event, filters)
    )


def _is_about(event: EngineEvent, kind: str, filters: Filters) -> bool:
    if kind not in filters:
        return True
    name = event.actor.attributes.get("name", "")
    names = filters.values(kind)
    return event.type == kind and (name in names or any(event.actor.id.startswith(text) for text in names if text))


def _has_image(event: EngineEvent, filters: Filters) -> bool:
    attributes = event.actor.attributes
    known = (event.actor.id, attributes.get("name"), attributes.get("image"))
    return "image" not in filters or any(text in known for text in filters.values("image"))


async def cluster_events(bus: EventBus, manager: Manager) -> None:
    """Bring the cluster's events (services, nodes, secrets, …) into this engine's stream; runs until cancelled."""
    while True:
        with suppress(aiohttp.ClientError, OSError):
            async for line in manager.lines("/shoal/v1/events"):
                event = msgspec.json.decode(line, type=EngineEvent)
                bus.publish(event.type, event.action, event.actor.id, event.actor.attributes, scope="swarm")
        await asyncio.sleep(_RETRY)
