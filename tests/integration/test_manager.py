"""A whole manager in this process, on its UNIX socket and its own folder: start, stop, what is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from common.identity import Identity
from common.identity.identity import first_identity
from common.identity.start import ManagerStart
from common.settings import Settings
from manager.daemon import run

NODE = "node0"
KEY = bytes(range(32))
SERVICE = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}}


@asynccontextmanager
async def manager(folder: Path, node: str = NODE, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    settings = Settings(root=folder / "root", state=folder / "state", **options)
    settings.root.mkdir(exist_ok=True)
    start = ManagerStart(first_identity(node, KEY))
    running = asyncio.ensure_future(run(settings, start, _no_updates))
    connector = aiohttp.UnixConnector(str(settings.manager_socket))
    try:
        async with aiohttp.ClientSession(base_url="http://manager", connector=connector) as client:
            async with asyncio.timeout(10):
                while not running.done() and await _ask(client, "/swarm") is None:
                    await asyncio.wait([running], timeout=0.01)
            yield client
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert not settings.manager_socket.exists()


async def _no_updates() -> AsyncIterator[Identity]:
    for identity in ():
        yield identity


async def _ask(client: aiohttp.ClientSession, path: str) -> Any:
    """The answer, None while there is none."""
    try:
        async with client.get(path) as response:
            return await response.json() if response.status == 200 else None
    except aiohttp.ClientConnectionError:
        return None


async def test_state_survives_a_restart(tmp_path: Path) -> None:
    async with manager(tmp_path) as client:
        async with client.post("/services/create", json=SERVICE) as response:
            assert response.status == 201
        before = await _ask(client, "/swarm")
    async with manager(tmp_path) as client:
        assert [service["Spec"]["Name"] for service in await _ask(client, "/services")] == ["web"]
        assert len(await _ask(client, "/tasks")) == 1
        assert len(await _ask(client, "/networks")) == 1
        assert (await _ask(client, "/swarm"))["JoinTokens"] == before["JoinTokens"]


async def test_the_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    async with manager(tmp_path):
        assert (tmp_path / "state" / "manager.sock").stat().st_mode & 0o777 == 0o600


async def test_no_secret_is_on_disk_in_the_clear(tmp_path: Path) -> None:
    async with manager(tmp_path) as client:
        body = {"Name": "it", "Data": "dG9wIHNlY3JldA=="}
        async with client.post("/secrets/create", json=body) as response:
            assert response.status == 201
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"it" in data for data in written)
    assert not any(b"top secret" in data or b"dG9wIHNlY3JldA" in data for data in written)


async def test_events_are_streamed_as_they_happen(tmp_path: Path) -> None:
    async with manager(tmp_path) as client, client.get("/shoal/v1/events") as stream:
        async with client.post("/services/create", json=SERVICE) as response:
            id = (await response.json())["ID"]
        async with asyncio.timeout(10):
            async for line in stream.content:
                if id.encode() in line:
                    break
        assert b'"Action":"create"' in line
