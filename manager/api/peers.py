"""The manager's TLS port, for the cluster's other nodes. Who may do what there is manager/ca/guard.py's work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from common import http
from common.errors import Unavailable
from common.identity.tls import Tls
from manager.api.context import Context
from manager.ca.endpoints import Certification
from manager.ca.guard import Guard

_GUARD: web.AppKey[Guard] = web.AppKey("guard", Guard)
log = structlog.get_logger()


def peers_application(routes: Iterable[web.RouteDef], context: Context, cluster_id: str) -> web.Application:
    """The port's application: `routes` and those for certificates, for who may use them."""
    app = http.application()
    app[_GUARD] = guard = Guard(context.store, cluster_id)
    app.middlewares.append(guard.check)
    app.router.add_routes([*Certification(context).routes(), *routes])
    return app


@asynccontextmanager
async def serve_peers(app: web.Application, listen: str, tls: Tls) -> AsyncIterator[None]:
    """Listen on `listen` (host:port) while the context is open. Raises Unavailable where that cannot be.

    A guard that fails ends the context's block, as a TaskGroup does.
    """
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        try:
            site = web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=tls.server, backlog=http.BACKLOG)
            await site.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise Unavailable(f"cannot listen on {listen} for the cluster's other nodes: {reason}") from None
        log.info("serving nodes", address=listen)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(app[_GUARD].run(), name="guard")
            yield
            watching.cancel()
    finally:
        await runner.cleanup()
