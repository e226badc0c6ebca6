"""Errors of handlers as answers; streams whose clients or servers go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from common import http
from common.errors import Conflict
from tests.harness.wait import eventually


@asynccontextmanager
async def served(folder: Path, handler: http.Handler) -> AsyncIterator[tuple[aiohttp.ClientSession, web.AppRunner]]:
    app = http.application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "s")).start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "s"))) as session:
            yield session, runner
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (Conflict("it is taken"), 409, "it is taken"),
        (OSError(28, "No space left on device", "/x"), 507, "no space left on device: /x"),
        (ValueError("odd"), 500, "internal error: ValueError: odd"),
        (ConnectionResetError("of somebody else"), 500, "internal error: ConnectionResetError: of somebody else"),
    ],
)
async def test_errors_become_answers(tmp_path: Path, error: Exception, status: int, sentence: str) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        raise error

    async with served(tmp_path, handler) as (session, _), session.get("http://s/") as answer:
        assert (answer.status, await answer.json()) == (status, {"message": sentence})


async def test_a_silent_stream_ends_when_its_client_leaves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_LOOK", 0.005)
    ended = asyncio.Event()

    async def silent() -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def handler(request: web.Request) -> web.StreamResponse:
        return await http.stream(request, silent())

    async with served(tmp_path, handler) as (session, _):
        async with session.get("http://s/") as answer:
            assert await answer.content.readany() == b"first"
            answer.close()
        await eventually(ended.is_set)
    assert caplog.records == []


@pytest.mark.parametrize("whole", [True, False])
async def test_a_stopping_server_ends_streams_and_cuts_whole_ones(tmp_path: Path, whole: bool) -> None:
    async def endless() -> AsyncGenerator[bytes, None]:
        yield b"first"
        await asyncio.Event().wait()

    async def handler(request: web.Request) -> web.StreamResponse:
        return await http.stream(request, endless(), whole=whole)

    async with served(tmp_path, handler) as (session, runner), session.get("http://s/") as answer:
        assert await answer.content.readany() == b"first"
        await runner.cleanup()
        if whole:
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        else:
            assert await answer.content.read() == b""


async def test_a_client_that_leaves_before_the_handshake_of_its_web_socket_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tried = asyncio.Event()

    async def greet(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        socket = web.WebSocketResponse()
        try:
            await socket.prepare(request)
        finally:
            tried.set()
        return socket

    async with served(tmp_path, greet) as (session, _):
        with pytest.raises(aiohttp.ClientError):
            await session.ws_connect("http://s/")
        await tried.wait()
    assert not caplog.records
