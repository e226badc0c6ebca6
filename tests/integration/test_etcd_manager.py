"""A whole manager over etcd: it starts again with an empty disk, and no secret lies in etcd in the clear."""

from __future__ import annotations

from pathlib import Path

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
