"""A whole manager over etcd: it starts again with an empty disk, and no secret lies in etcd in the clear."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from common.errors import Conflict
from common.identity import IdentityFile
from common.settings import Settings
from manager.daemon import run
from tests.harness.etcd import etcd
from tests.integration.test_manager import SERVICE, _ask, manager


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
            assert len(await _ask(client, "/tasks")) == 1
            assert (await _ask(client, "/swarm"))["JoinTokens"] == before["JoinTokens"]


async def test_a_stranger_does_not_slip_into_a_cluster_by_its_prefix(tmp_path: Path) -> None:
    with etcd() as server:
        store = {"store": "etcd://" + server.urls[0].removeprefix("http://")}
        async with manager(tmp_path, **store):
            pass
        IdentityFile(tmp_path / "other").load()
        settings = Settings(root=tmp_path / "other", state=tmp_path / "state", **store)
        with pytest.raises(Conflict, match="another cluster, of which this node is no part"):
            await run(settings, "stranger")


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
                await _served(client, number)
                assert (await _ask(client, "/swarm"))["JoinTokens"] == before["JoinTokens"]
                name = {"Name": f"after{number}"}
                async with client.post("/services/create", json=SERVICE | name) as response:
                    assert response.status == 201
                assert (tmp_path / "root" / "raft").exists() is (to == "raft")
        async with manager(tmp_path) as client:
            names = {service["Spec"]["Name"] for service in await _ask(client, "/services")}
            assert names == {"web", "after1", "after2"}
            assert len(await _ask(client, "/tasks")) == 3


async def _served(client: aiohttp.ClientSession, number: int) -> None:
    """Return once the manager serves from where it went by its move `number`."""
    async with asyncio.timeout(15):
        while True:
            place = await _ask(client, "/shoal/v1/cluster/store")
            if place is not None and place["number"] >= number:
                return
            await asyncio.sleep(0.02)
