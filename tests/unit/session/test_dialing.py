"""A manager is found wherever one answers, and none that hangs is waited for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from common.errors import Unavailable
from tests.harness.wait import eventually
from worker.session import dialing
from worker.session.dialing import Dialer, order

OWN = "unix:///run/manager.sock"
MANAGERS = [OWN, "a:1", "b:1", "c:1"]


class FakeLink:
    def __init__(self, address: str, closed: list[str]) -> None:
        self.address = address
        self._closed = closed

    async def close(self) -> None:
        self._closed.append(self.address)


class World:
    """`behaviour[address]`: seconds until a Welcome, or the error that comes at once."""

    def __init__(self, **behaviour: float | Exception) -> None:
        self.behaviour = {OWN: Unavailable("no manager here"), **{f"{k}:1": v for k, v in behaviour.items()}}
        self.asked: list[str] = []
        self.closed: list[str] = []

    async def open(self, address: str, limit: float) -> Any:
        self.asked.append(address)
        does = self.behaviour[address]
        if isinstance(does, Exception):
            raise does
        async with asyncio.timeout(limit):
            await asyncio.sleep(does)
        return FakeLink(address, self.closed)

    def dialer(self) -> Dialer:
        return Dialer(lambda: [address for address in MANAGERS if address in self.behaviour], self.open)


def test_the_own_manager_comes_first_and_the_lost_one_last() -> None:
    seen = set()
    for _ in range(100):
        found = order(MANAGERS, "b:1")
        assert (found[0], found[-1]) == (OWN, "b:1")
        seen.add(tuple(found))
    assert len(seen) == 2
    assert order(MANAGERS, OWN)[-1] == OWN


async def test_the_own_manager_has_it_where_there_is_one() -> None:
    world = World(a=0.0, b=0.0)
    world.behaviour[OWN] = 0.0
    link = await world.dialer().dial()
    assert (link.address, world.asked) == (OWN, [OWN])


async def test_another_manager_takes_over_at_once() -> None:
    world = World(a=0.0, b=ConnectionRefusedError())
    assert (await world.dialer().dial()).address == "a:1"


async def test_one_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "STAGGER", 0.01)
    world = World(a=3600.0, b=3600.0, c=0.0)
    world.behaviour[OWN] = 3600.0
    began = time.monotonic()
    assert (await world.dialer().dial()).address == "c:1"
    assert time.monotonic() - began < 1.0
    assert world.closed == []


async def test_a_slow_manager_is_tried_once_and_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "STAGGER", 0.001)
    monkeypatch.setattr(dialing, "PAUSE", (0.001, 0.01))
    world = World(a=0.1, b=ConnectionRefusedError())
    assert (await world.dialer().dial()).address == "a:1"
    assert world.asked.count("a:1") == 1
    assert world.asked.count("b:1") > 1


async def test_a_manager_that_never_answers_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "PATIENCE", 0.01)
    monkeypatch.setattr(dialing, "PAUSE", (0.001, 0.01))
    world = World(a=3600.0)
    search = asyncio.ensure_future(world.dialer().dial())
    await eventually(lambda: world.asked.count("a:1") >= 3)
    world.behaviour["a:1"] = 0.0
    assert (await search).address == "a:1"


async def test_tries_go_on_until_a_manager_is_there_and_grow_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "PAUSE", (0.001, 0.01))
    world = World(a=ConnectionRefusedError())
    dialing_ = asyncio.ensure_future(world.dialer().dial())
    await eventually(lambda: len(world.asked) >= 20)
    world.behaviour["a:1"] = 0.0
    assert (await dialing_).address == "a:1"


async def test_a_search_that_is_given_up_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(a=3600.0)
    search = asyncio.ensure_future(world.dialer().dial())
    await eventually(lambda: "a:1" in world.asked)
    search.cancel()
    assert isinstance((await asyncio.gather(search, return_exceptions=True))[0], asyncio.CancelledError)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
