"""A whole manager over etcd: it starts again with an empty disk, and no secret lies in etcd in the clear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness.etcd import etcd
from tests.integration.test_manager import SERVICE, _ask, manager

STORE = "/shoal/v1/cluster/store"


async def test_a_manager_over_etcd_keeps_its_state_there_and_no_secret_in_the_clear(tmp_path: Path) -> None:
    with etcd() as server:
        store = {"store": "etcd://" + server.urls[0].removeprefix("http://"), "store_prefix": "/shoal/test"}
        async with manager(tmp_path, **store) as client:
            async with client.post("/services/create", json=SERVICE) as response:
                assert response.status == 201
            async with client.post("/secrets/create", json={"Name": "it", "Data": "dG9wIHNlY3JldA=="}) as response:
                assert response.status == 201
            before = await _ask(client, "/swarm")
        everything = server.members[0].everything()
        assert b"/shoal/test:log/entry/" in everything
        assert not any(text in everything for text in (b"top secret", b"dG9wIHNlY3JldA"))
        assert not (tmp_path / "root" / "raft").exists()
        async with manager(tmp_path, **store) as client:
            assert [service["Spec"]["Name"] for service in await _ask(client, "/services")] == ["web"]
            await _until(client, "/tasks", lambda tasks: len(tasks) == 1)
            assert (await _ask(client, "/swarm"))["JoinTokens"] == before["JoinTokens"]


async def test_a_stranger_does_not_slip_into_a_cluster_by_its_prefix(tmp_path: Path) -> None:
    """It stays a cluster of its own until it joins that one."""
    with etcd() as server:
        store = {"store": "etcd://" + server.urls[0].removeprefix("http://")}
        ours, other = tmp_path / "ours", tmp_path / "other"
        ours.mkdir()
        other.mkdir()
        async with manager(ours, **store) as client:
            async with client.post("/services/create", json=SERVICE) as response:
                assert response.status == 201
            async with manager(other, node="stranger", **store) as stranger:
                assert await _ask(stranger, "/services") == []
                assert (await _ask(stranger, STORE))["store"] == "raft"
            assert len(await _ask(client, "/nodes")) == 1


async def test_a_running_manager_moves_there_and_back(tmp_path: Path) -> None:
    with etcd() as server:
        store = "etcd://" + server.urls[0].removeprefix("http://")
        async with manager(tmp_path) as client:
            async with client.post("/services/create", json=SERVICE) as response:
                assert response.status == 201
            before = await _ask(client, "/swarm")
            for number, (to, prefix) in enumerate(((store, "/shoal/moved"), ("raft", "")), 1):
                async with client.post("/shoal/v1/cluster/migrate", json={"store": to, "prefix": prefix}) as response:
                    assert response.status == 200, await response.text()
                await _until(client, STORE, lambda place, to=to: place["store"] == to)  # type: ignore[misc]
                assert (await _ask(client, "/swarm"))["JoinTokens"] == before["JoinTokens"]
                name = {"Name": f"after{number}"}
                async with client.post("/services/create", json=SERVICE | name) as response:
                    assert response.status == 201
                assert (tmp_path / "root" / "raft").exists() is (to == "raft")
        async with manager(tmp_path) as client:
            names = {service["Spec"]["Name"] for service in await _ask(client, "/services")}
            assert names == {"web", "after1", "after2"}
            await _until(client, "/tasks", lambda tasks: len(tasks) == 3)


async def _until(client: aiohttp.ClientSession, path: str, wanted: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(15):
        while True:
            answer = await _ask(client, path)
            if answer is not None and wanted(answer):
                return
            await asyncio.sleep(0.02)
