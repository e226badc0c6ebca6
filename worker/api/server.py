"""The Engine API's server: sockets, versions, errors. What an endpoint does is its own module's work.

Every route answers below "/" and below "/v1.40" … "/v1.51", as Docker's does. Listens on UNIX sockets, and on TCP only with
mutual TLS.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from common import http
from common.errors import Conflict, InvalidArgument, Unavailable
from common.settings import Settings
from common.version import VERSION as PACKAGE_VERSION
from worker.api.http import ENGINE_API, MIN_API, VERSION

log = structlog.get_logger()
SERVER = f"Shoal/{PACKAGE_VERSION} (linux)"


def application(routes: Iterable[web.RouteDef]) -> web.Application:
    """The HTTP application with all routes, each under "/" and "/v{version}"."""
    app = http.application()
    app.middlewares.append(_versions)
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
        app.router.add_route(route.method, "/v{api_version:[0-9.]+}" + route.path, route.handler)
    app.on_response_prepare.append(_headers)
    return app


@web.middleware
async def _versions(request: web.Request, handler: http.Handler) -> web.StreamResponse:
    text = request.match_info.get("api_version")
    if text is not None:
        request[VERSION] = _check_version(text)
    return await handler(request)


def _check_version(text: str) -> tuple[int, int]:
    asked, least, most = _parse_version(text), _parse_version(MIN_API), _parse_version(ENGINE_API)
    if asked < least:
        raise InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is {MIN_API}, "
            "please upgrade your client to a newer version"
        )
    if asked > most:
        raise InvalidArgument(f"client version {text} is too new. Maximum supported API version is {ENGINE_API}")
    return asked


def _parse_version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise InvalidArgument(f"invalid API version {text!r}: it looks like {ENGINE_API}")
    return int(major), int(minor)


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Api-Version"] = ENGINE_API
    response.headers["Ostype"] = "linux"
    response.headers["Server"] = SERVER
    response.headers["Docker-Experimental"] = "false"


@asynccontextmanager
async def serve(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    """Listen on every host of the settings while the context is open."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0, auto_decompress=False)
    await runner.setup()
    sockets = []
    try:
        for host in settings.hosts or [f"unix://{settings.socket}"]:
            await _listen(runner, host, settings)
            if host.startswith("unix://"):
                sockets.append(Path(host.removeprefix("unix://")))
        yield
    finally:
        await runner.cleanup()
        for path in sockets:
            path.unlink(missing_ok=True)


async def _listen(runner: web.AppRunner, host: str, settings: Settings) -> None:
    """Raises Conflict where another daemon has the address, Unavailable where it cannot be listened on."""
    try:
        if host.startswith("unix://"):
            await _listen_unix(runner, Path(host.removeprefix("unix://")), settings.group)
        else:
            await _listen_tcp(runner, host, settings)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}: {os.strerror(error.errno or errno.EIO)}") from None
    log.info("listening", host=host)


async def _listen_tcp(runner: web.AppRunner, host: str, settings: Settings) -> None:
    address, _, port = host.removeprefix("tcp://").rpartition(":")
    await web.TCPSite(runner, address.strip("[]"), int(port), ssl_context=mutual_tls(settings)).start()


async def _listen_unix(runner: web.AppRunner, path: Path, group: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if await asyncio.to_thread(_is_served, path):
        raise Conflict(f"another daemon already listens on unix://{path}: stop it or choose another --hosts")
    path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(mask)
    try:
        shutil.chown(path, group=group)
        path.chmod(0o660)
    except LookupError:
        pass  # no such group on this machine: the socket stays root's alone


def _is_served(path: Path) -> bool:
    """Whether somebody listens on the socket; one that a killed daemon left behind refuses."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def mutual_tls(settings: Settings) -> ssl.SSLContext:
    """The server's TLS context, which demands a client certificate signed by `tls-ca`. Raises InvalidArgument."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        context.load_verify_locations(settings.tls_ca)
    except (ssl.SSLError, OSError) as error:
        raise InvalidArgument(
            f"the TLS files {settings.tls_cert}, {settings.tls_key} and {settings.tls_ca} cannot be used ({error}): "
            "they are PEM files, and the key is the certificate's"
        ) from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context
