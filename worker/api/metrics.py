"""`GET /metrics`: this node's numbers for Prometheus, with those of its manager where it has one.

On the UNIX socket and, by a client's certificate, over TCP, as everything of this API.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter

from aiohttp import web

from common.errors import ShoalError
from common.metrics import CONTENT_TYPE, Page
from worker.api.cluster import Manager
from worker.engine.node import Engine
from worker.membership.membership import Membership
from worker.session.measures import Measures

OF_THE_MANAGER = "/shoal/v1/metrics"
PATIENCE = 5.0  # seconds that the manager may take: a scrape is not to wait for one that hangs


class Metrics:
    def __init__(self, engine: Engine, manager: Manager, membership: Membership, measures: Measures) -> None:
        self._engine = engine
        self._manager = manager
        self._membership = membership
        self._measures = measures

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self.show, allow_head=False)]

    async def show(self, _: web.Request) -> web.Response:
        page = Page("shoal_worker_")
        self._session(page)
        self._engine_numbers(page)
        page.process()
        text = b""
        if self._membership.manages:
            text = await self._of_the_manager()
            page.gauge("manager_up", "1 where this node's manager answers", bool(text))
        return web.Response(body=page.text() + text, headers={"Content-Type": CONTENT_TYPE})

    async def _of_the_manager(self) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._manager.ask("GET", OF_THE_MANAGER, wait=False)
        except (ShoalError, TimeoutError):
            return b""

    def _session(self, page: Page) -> None:
        measures = self._measures
        page.gauge("session_up", "1 while this worker has a session with a manager", measures.connected)
        page.counters("sessions", "Sessions that began", (), [((), measures.sessions)])
        labels = ("kind", "outcome")
        page.counters("actions", "What was done for tasks", labels, measures.actions.items())
        page.histograms("action_seconds", "How long that took", "kind", measures.spent)

    def _engine_numbers(self, page: Page) -> None:
        states = Counter(container.state.status for container in self._engine.containers.list())
        page.gauges("containers", "Containers by state", "state", states)
        page.gauge("images", "Images", self._engine.images.count())
        disk = os.statvfs(self._engine.settings.root)
        page.gauge("disk_bytes", "Size of the disk that holds the root folder", disk.f_blocks * disk.f_frsize)
        page.gauge("disk_free_bytes", "What is free of it", disk.f_bavail * disk.f_frsize)


def routes(engine: Engine, manager: Manager, membership: Membership, measures: Measures) -> list[web.RouteDef]:
    return Metrics(engine, manager, membership, measures).routes()
