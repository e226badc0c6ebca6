"""The manager's HTTP server on its UNIX socket: routes and errors. What an endpoint does is its own module's work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from common.errors import ShoalError
from manager.api.http import MAX_BODY, answer

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(routes: Iterable[web.RouteDef]) -> web.Application:
    app = web.Application(middlewares=[_errors], client_max_size=MAX_BODY)
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
            await web.UnixSite(runner, str(path)).start()
        finally:
            os.umask(mask)
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into Docker's {"message": …}."""
    try:
        return await handler(request)
    except ShoalError as error:
        return answer({"message": error.message}, error.status)
    except web.HTTPException as error:
        return answer({"message": _sentence(request, error)}, error.status)
    except ConnectionError:
        raise
    except Exception as error:
        log.exception("request failed", path=request.path)
        return answer({"message": f"internal error: {type(error).__name__}: {error}"}, 500)


def _sentence(request: web.Request, error: web.HTTPException) -> str:
    if error.status == 404:
        return "page not found"
    if error.status == 413:
        return f"the request's body is larger than {MAX_BODY} bytes"
    return f"{request.method} {request.path}: {error.reason}"
