"""The cluster's events in Docker's shape, as JSON lines that each worker merges into its own stream."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec
from aiohttp import web

from common import http
from common.model import Config, Network, Node, Secret, Service
from manager.api.context import Context
from manager.api.lookup import names
from manager.store.base import Changed

SHOWN = (Service, Node, Secret, Config, Network)


class Events:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/shoal/v1/events", self.stream)]

    async def stream(self, request: web.Request) -> web.StreamResponse:
        return await http.stream(request, self._lines(), "application/json")

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        async for event in self._context.store.watch():
            for changed in event.changes:
                for line in described(changed):
                    yield msgspec.json.encode(line) + b"\n"


def described(changed: Changed) -> Iterator[dict[str, Any]]:
    """The events that one change makes: none where only the system's own record of the object changed."""
    subject = changed.object
    if not isinstance(subject, SHOWN):
        return
    action = "create" if changed.before is None else "remove" if changed.after is None else "update"
    attributes = {"name": next(filter(None, names(subject)), "")}
    if action == "update":
        found = _differences(changed.before, changed.after)
        if not found:
            return
        attributes |= found
    now = time.time_ns()
    yield {
        "Type": type(subject).__name__.lower(),
        "Action": action,
        "Actor": {"ID": subject.id, "Attributes": attributes},
        "scope": "swarm",
        "time": now // 1_000_000_000,
        "timeNano": now,
    }


def _differences(before: Any, after: Any) -> dict[str, str]:
    """What a client wants to know of an update, old and new: as Docker's event attributes name it."""
    found: dict[str, str] = {}
    match after:
        case Service():
            _compare(found, "replicas", _replicas(before), _replicas(after))
            _compare(found, "image", _image(before), _image(after))
            _compare(found, "updatestate", _update_state(before), _update_state(after))
        case Node():
            _compare(found, "state", before.status.state, after.status.state)
            _compare(found, "availability", before.spec.availability, after.spec.availability)
            _compare(found, "role", before.spec.role, after.spec.role)
    return found or ({"spec": "changed"} if before.spec != after.spec else {})


def _compare(found: dict[str, str], name: str, old: str, new: str) -> None:
    if old != new:
        found |= {f"{name}.new": new, f"{name}.old": old} if old else {f"{name}.new": new}


def _replicas(service: Service) -> str:
    mode = service.spec.mode.replicated
    return "" if mode is None or mode.replicas is None else str(mode.replicas)


def _image(service: Service) -> str:
    container = service.spec.task_template.container_spec
    return container.image if container else ""


def _update_state(service: Service) -> str:
    return service.update_status.state if service.update_status else ""
