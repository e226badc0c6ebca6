"""Managers that ask to become members, over mutual TLS."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from manager.raft.core import Settings
from manager.raft.joining import become_member, route
from tests.harness.raft_group import OPTIONS, Group, TlsNetwork, node_id

IDS = ("a", "b", "c")


@pytest.fixture
async def network() -> AsyncIterator[TlsNetwork]:
    made = TlsNetwork(*IDS)
    async with made.run():
        yield made


@pytest.fixture
async def group(tmp_path: Path, network: TlsNetwork) -> AsyncIterator[Group]:
    made = Group(tmp_path, network)
    yield made
    await made.close()


async def start(group: Group, network: TlsNetwork, id: str, *, joins: bool = True) -> None:
    network.routes[id] = [route(await group.start(id, joins=joins), node_id)]


async def join(group: Group, network: TlsNetwork, id: str, *managers: str) -> None:
    asked = [network.address(manager) for manager in managers]
    tls = network.tls[id]
    await become_member(group.logs[id], network.address(id), lambda: asked, lambda: tls.client)


async def test_managers_join_by_any_member(group: Group, network: TlsNetwork) -> None:
    await start(group, network, "a", joins=False)
    await start(group, network, "b")
    await join(group, network, "b", "a")
    await start(group, network, "c")
    await join(group, network, "c", "b")  # which does not lead, and says who does
    assert [(m.id, m.voter) for m in group.logs["a"].members()] == [("a", True), ("b", True), ("c", True)]
    await join(group, network, "c")  # is so already: nobody need be asked
    await group.write("c", b"x")


async def test_a_manager_asks_until_somebody_is_there(group: Group, network: TlsNetwork) -> None:
    await start(group, network, "b")
    joining = asyncio.ensure_future(join(group, network, "b", "c", "a"))
    await start(group, network, "a", joins=False)
    await joining
    await group.write("b", b"x")


async def test_a_lost_disk_is_noticed_by_its_birth(group: Group, network: TlsNetwork) -> None:
    await start(group, network, "a", joins=False)
    for id in ("b", "c"):
        await start(group, network, id)
        await join(group, network, id, "a")
    await group.write("b", b"x")
    await group.kill("c")
    shutil.rmtree(group.folder("c"))
    await start(group, network, "c")
    assert group.machines["c"].data == []
    await join(group, network, "c", "b")
    await group.equal()
    assert group.machines["c"].data == [b"x"]


async def test_a_dead_leader_is_noticed_by_its_broken_lines(tmp_path: Path, network: TlsNetwork) -> None:
    """Elections by silence would take a minute here."""
    patient = replace(OPTIONS, tick=0.1, core=Settings(election=600, heartbeat=1))
    group = Group(tmp_path, network, patient)
    await group.begin("a", "b", "c")
    await group.kill("a")
    await group.write(await group.leader(), b"led by another")
    for id in list(group.logs):
        await group.kill(id)
