"""`docker login` against a tiny registry in the daemon's namespace: basic and bearer, right and wrong passwords."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.harness.daemon import Daemon
from tests.harness.netns import socket_in

RIGHT = "Basic " + base64.b64encode(b"me:right").decode()
ADDRESS = "127.0.0.1:5000"


@asynccontextmanager
async def registry(shoald: Daemon, kind: str) -> AsyncIterator[None]:
    """Asks for authentication of this `kind`: basic, bearer, "" for none or a word that nobody knows."""
    wanted = {"bearer": "Bearer good", "": None}.get(kind, RIGHT)

    async def v2(request: web.Request) -> web.Response:
        if wanted in (None, request.headers.get("Authorization")):
            return web.json_response({})
        challenge = {"bearer": f'Bearer realm="http://{ADDRESS}/token",service="test"'}.get(
            kind, f'{kind} realm="test"'
        )
        return web.json_response({"errors": []}, status=401, headers={"WWW-Authenticate": challenge})

    async def token(request: web.Request) -> web.Response:
        assert request.query["service"] == "test"
        if request.headers.get("Authorization") == RIGHT:
            return web.json_response({"token": "good"})
        return web.json_response({"token": "for anonymous users"})

    app = web.Application()
    app.add_routes([web.get("/v2/", v2), web.get("/token", token)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, socket_in(Path("/run/netns") / shoald.netns, ADDRESS)).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def login(
    shoald: Daemon, folder: Path, password: str, address: str = ADDRESS
) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        ["docker", "-H", shoald.url, "login", "--username", "me", "--password-stdin", address],
        input=password, capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, "DOCKER_CONFIG": str(folder)},
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["basic", "bearer"])
async def test_the_right_password_is_accepted_and_a_wrong_one_not(shoald: Daemon, tmp_path: Path, kind: str) -> None:
    async with registry(shoald, kind):
        good = await login(shoald, tmp_path, "right")
        assert (good.returncode, good.stdout) == (0, "Login Succeeded\n"), good.stderr
        bad = await login(shoald, tmp_path, "wrong")
    assert bad.returncode == 1
    assert "the registry refused the user name or password (401 from 127.0.0.1)" in bad.stderr


async def test_a_registry_that_asks_for_nothing_accepts_anybody(shoald: Daemon, tmp_path: Path) -> None:
    async with registry(shoald, ""):
        assert (await login(shoald, tmp_path, "any")).returncode == 0


async def test_unknown_schemes_and_dead_registries_are_said(shoald: Daemon, tmp_path: Path) -> None:
    async with registry(shoald, "Negotiate"):
        unknown = await login(shoald, tmp_path, "right")
    assert "asks for authentication of a kind that is not known" in unknown.stderr
    dead = await login(shoald, tmp_path, "right", "127.0.0.1:5001")
    assert dead.returncode == 1
    assert "registry 127.0.0.1:5001 cannot be reached" in dead.stderr
    body = ("-H", "Content-Type: application/json", "-d", '{"username": "me", "identitytoken": "x"}')
    assert "use a user name and a password" in shoald.curl("/auth", *body)
