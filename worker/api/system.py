"""GET /_ping, /version, /info, /events, /system/df and POST /auth."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from common import http
from common.errors import InvalidArgument
from common.filters import Filters
from common.moments import moment
from common.version import VERSION
from worker import host, registry_auth
from worker.api.cluster import Manager
from worker.api.http import ENGINE_API, MIN_API
from worker.engine.events import EngineEvent
from worker.engine.node import Engine

ENGINE_VERSION = "28.2.2"  # the Docker Engine whose API this is; clients look at it
_RETRY = 0.05  # seconds between tries to hear a manager's events
_EVENT_FILTERS = (
    "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service",
    "type", "volume",
)  # fmt: skip


class System:
    """The handlers, with what they need: the engine, the manager and this node's id."""

    def __init__(self, engine: Engine, manager: Manager, node_id: str) -> None:
        self._engine = engine
        self._manager = manager
        self._node_id = node_id
        self._started = datetime.now(UTC)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route("HEAD", "/_ping", self.ping),
            web.get("/_ping", self.ping, allow_head=False),
            web.get("/version", self.version, allow_head=False),
            web.get("/info", self.info, allow_head=False),
            web.get("/events", self.events, allow_head=False),
            web.get("/system/df", self.disk_usage, allow_head=False),
            web.post("/auth", self.auth),
        ]

    async def ping(self, request: web.Request) -> web.Response:
        swarm = "active/manager" if self._engine.settings.manager_socket.exists() else "inactive"
        headers = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache", "Swarm": swarm}
        headers["Builder-Version"] = "1"
        text = "" if request.method == "HEAD" else "OK"
        return web.Response(text=text, headers=headers, content_type="text/plain")

    async def version(self, _: web.Request) -> web.Response:
        kernel = platform.release()
        details = {
            "ApiVersion": ENGINE_API,
            "Arch": host.architecture(),
            "BuildTime": "",
            "Experimental": "false",
            "GitCommit": "",
            "GoVersion": f"python {platform.python_version()}",
            "KernelVersion": kernel,
            "MinAPIVersion": MIN_API,
            "Os": "linux",
        }
        components = [
            {"Name": "Engine", "Version": ENGINE_VERSION, "Details": details},
            {"Name": "shoald", "Version": VERSION, "Details": {"PythonVersion": platform.python_version()}},
            *[
                {"Name": name, "Version": text, "Details": {}}
                for name, text in (await asyncio.to_thread(host.tool_versions, self._engine.settings)).items()
            ],
        ]
        return http.answer(
            {
                "Platform": {"Name": f"Shoal {VERSION}"},
                "Components": components,
                "Version": ENGINE_VERSION,
                "ApiVersion": ENGINE_API,
                "MinAPIVersion": MIN_API,
                "GitCommit": "",
                "GoVersion": details["GoVersion"],
                "Os": "linux",
                "Arch": host.architecture(),
                "KernelVersion": kernel,
            }
        )

    async def info(self, _: web.Request) -> web.Response:
        engine = self._engine
        states = [c.state.status for c in engine.containers.list()]
        swarm = await self._manager.get("/shoal/v1/swarm-info", {"LocalNodeState": "pending", "NodeID": self._node_id})
        facts: dict[str, Any] = await asyncio.to_thread(host.info, engine.settings, self._node_id)
        facts |= {
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "ContainersPaused": states.count("paused"),
            "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
            "Images": engine.images.count(),
            "NEventsListener": engine.events.listeners,
            "ServerVersion": ENGINE_VERSION,
            "Swarm": swarm,
            "SystemTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        return http.answer(facts)

    async def disk_usage(self, request: web.Request) -> web.Response:
        asked = set(request.query.getall("type", []))
        if unknown := asked - {"container", "image", "volume", "build-cache"}:
            raise InvalidArgument(f"unknown object type: {', '.join(sorted(unknown))}")
        answer: dict[str, Any] = {
            "LayersSize": 0,
            "Images": None,
            "Containers": None,
            "Volumes": None,
            "BuildCache": None,
        }
        if not asked or "image" in asked:
            answer |= await self._engine.images.disk_usage()
        if not asked or "container" in asked:
            answer["Containers"] = await self._engine.containers.disk_usage()
        if not asked or "volume" in asked:
            answer["Volumes"] = await self._engine.volumes.disk_usage()
        if not asked or "build-cache" in asked:
            answer["BuildCache"] = []
        return http.answer(answer)

    async def auth(self, request: web.Request) -> web.Response:
        config = await http.body(request, registry_auth.Credentials)
        await registry_auth.check(config, self._engine.settings.insecure_registries)
        return http.answer({"Status": "Login Succeeded", "IdentityToken": ""})

    async def events(self, request: web.Request) -> web.StreamResponse:
        filters = Filters.parse(request.query.get("filters"), _EVENT_FILTERS)
        since, until = (moment(text) if (text := request.query.get(name)) else None for name in ("since", "until"))
        return await http.stream(request, self._events(filters, since, until))

    async def _events(self, filters: Filters, since: int | None, until: int | None) -> AsyncGenerator[bytes, None]:
        if until is not None and until <= time.time_ns():
            for event in self._engine.events.recent():
                if (since is None or event.time_nano >= since) and event.time_nano <= until and _wanted(event, filters):
                    yield _line(event)
            return
        limit = None if until is None else (until - time.time_ns()) / 1e9
        stream = self._engine.events.subscribe(since_nano=since)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                async for event in stream:
                    if _wanted(event, filters):
                        yield _line(event)


def _line(event: EngineEvent) -> bytes:
    """One event, with the fields that older clients still read."""
    fields = msgspec.to_builtins(event)
    if event.type == "container":
        fields |= {"status": event.action, "id": event.actor.id, "from": event.actor.attributes.get("image", "")}
    return msgspec.json.encode(fields) + b"\n"


def _wanted(event: EngineEvent, filters: Filters) -> bool:
    named = (event.actor.id, event.actor.attributes.get("name", ""))
    kinds = ("container", "volume", "network", "daemon", "plugin", "service", "node", "secret", "config")
    return (
        filters.exact("type", event.type)
        and filters.exact("scope", event.scope)
        and (
            not filters.values("event")
            or any(event.action.split(":")[0] == e or event.action == e for e in filters.values("event"))
        )
        and filters.labels(event.actor.attributes)
        and all(
            k not in filters or (event.type == k and any(_names(v, named) for v in filters.values(k))) for k in kinds
        )
        and (
            "image" not in filters
            or any(v in (*named, event.actor.attributes.get("image")) for v in filters.values("image"))
        )
    )


def _names(wanted: str, candidates: tuple[str, str]) -> bool:
    return wanted == candidates[1] or (bool(wanted) and candidates[0].startswith(wanted))


async def cluster_events(engine: Engine, manager: Manager) -> None:
    """Bring the cluster's events (services, nodes, secrets, …) into this engine's stream; runs until cancelled."""
    while True:
        with suppress(aiohttp.ClientError, OSError):
            async for line in manager.lines("/shoal/v1/events"):
                event = msgspec.json.decode(line, type=EngineEvent)
                engine.events.publish(event.type, event.action, event.actor.id, event.actor.attributes, scope="swarm")
        await asyncio.sleep(_RETRY)


def routes(engine: Engine, manager: Manager, node_id: str) -> list[web.RouteDef]:
    return System(engine, manager, node_id).routes()
