"""The manager's HTTP server on its UNIX socket: its routes. What an endpoint does is its own module's work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from common import http
from manager.store.base import Store

_OF_THIS_NODE = "/shoal/v1/"  # what this node's own daemon asks needs no quorum


def application(routes: Iterable[web.RouteDef], store: Store) -> web.Application:
    """What is read through it is no older than what any manager acknowledged before."""

    @web.middleware
    async def current(request: web.Request, handler: http.Handler) -> web.StreamResponse:
        if request.method == "GET" and not request.path.startswith(_OF_THIS_NODE):
            await store.barrier()
        return await handler(request)

    app = http.application()
    app.middlewares.append(current)
    app.router.add_routes(routes)
    return app


@asynccontextmanager
async def serve(app: web.Application, path: Path) -> AsyncIterator[None]:
    """Listen on the UNIX socket `path`, for this user alone, while the context is open."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(path), backlog=http.BACKLOG).start()
        finally:
            os.umask(mask)
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)
