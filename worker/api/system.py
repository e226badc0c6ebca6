"""GET /_ping, /version, /info, /system/df and POST /auth."""

from __future__ import annotations

import asyncio
import platform
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from common import http
from common.errors import InvalidArgument
from common.version import VERSION
from worker import host
from worker.api.cluster import Manager
from worker.api.events import Events
from worker.api.http import ENGINE_API, MIN_API
from worker.engine.node import Engine
from worker.membership.membership import Membership

_PING = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache", "Builder-Version": "1"}
ENGINE_VERSION = "28.2.2"  # the Docker Engine whose API this is; clients look at it


class System:
    """The handlers, with what they need: the engine, the manager and this node's id."""

    def __init__(self, engine: Engine, manager: Manager, membership: Membership) -> None:
        self._engine = engine
        self._manager = manager
        self._membership = membership
        self._events = Events(engine.events)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route("HEAD", "/_ping", self.ping),
            web.get("/_ping", self.ping, allow_head=False),
            web.get("/version", self.version, allow_head=False),
            web.get("/info", self.info, allow_head=False),
            *self._events.routes(),
            web.get("/system/df", self.disk_usage, allow_head=False),
            web.post("/auth", self.auth),
        ]

    async def ping(self, request: web.Request) -> web.Response:
        text = "" if request.method == "HEAD" else "OK"
        return web.Response(text=text, headers=_PING | {"Swarm": self._membership.state()}, content_type="text/plain")

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
        facts: dict[str, Any] = await asyncio.to_thread(host.info, engine.settings, self._membership.node_id)
        facts |= {
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "ContainersPaused": states.count("paused"),
            "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
            "Images": engine.images.count(),
            "NEventsListener": self._events.listeners,
            "ServerVersion": ENGINE_VERSION,
            "Swarm": await self._swarm(),
            "SystemTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        return http.answer(facts)

    async def _swarm(self) -> dict[str, Any]:
        known = self._membership.info()
        if not self._membership.manages:
            return known
        told: dict[str, Any] = await self._manager.get("/shoal/v1/swarm-info", {"LocalNodeState": "pending"})
        return known | told | ({"Error": known["Error"]} if known["Error"] else {})

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
        from worker import registry_auth
        from worker.distribution.credentials import Credentials

        config = await http.body(request, Credentials)
        await registry_auth.check(config, self._engine.settings)
        return http.answer({"Status": "Login Succeeded", "IdentityToken": ""})


def routes(engine: Engine, manager: Manager, membership: Membership) -> list[web.RouteDef]:
    return System(engine, manager, membership).routes()
