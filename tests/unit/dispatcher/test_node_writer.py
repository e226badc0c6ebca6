"""Nodes that arrive together are written together; each is written once, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from msgspec.structs import replace

from common.errors import Unavailable
from common.model import Node
from manager.dispatcher.node_writer import BATCH, NodeWriter
from manager.store.base import Change, Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store


class World:
    def __init__(self, store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.commits: list[int] = []
        self.before: Callable[[], object] = lambda: None
        self.commit = store.commit
        monkeypatch.setattr(store, "commit", self._commit)
        self.writer = NodeWriter(store)

    async def _commit(self, changes: Sequence[Change], *, leading: bool = False) -> int:
        if changes:
            self.commits.append(len(changes))
        self.before()
        await asyncio.sleep(0)
        return await self.commit(changes, leading=leading)

    def instance(self, number: int) -> str:
        node = self.store.view().get(Node, f"n{number}")
        assert node is not None
        return node.instance


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with open_store(MemoryLog()) as store:
        await store.commit([Put(Node(id=f"n{number}")) for number in range(500)])
        yield World(store, monkeypatch)


def named(node: Node) -> Node:
    return replace(node, instance=f"{node.instance}i")


async def test_all_that_come_at_once_share_few_commits(world: World) -> None:
    await asyncio.gather(*(world.writer.change(f"n{number}", named) for number in range(500)))
    assert [world.instance(number) for number in range(500)] == ["i"] * 500
    assert world.commits == [1, BATCH, BATCH, 500 - 2 * BATCH - 1]


async def test_what_is_so_already_or_gone_is_not_written(world: World) -> None:
    await world.writer.change("n1", lambda node: node)
    await world.writer.change("nobody", named)
    assert world.commits == []


async def test_two_wishes_for_one_node_both_come_true(world: World) -> None:
    await asyncio.gather(*(world.writer.change(id, named) for id in ("n0", "n1", "n1")))
    assert (world.instance(1), world.commits) == ("ii", [1, 1])


async def test_one_that_is_given_up_takes_no_other_with_it(world: World) -> None:
    first = asyncio.ensure_future(world.writer.change("n1", named))
    second = asyncio.ensure_future(world.writer.change("n2", named))
    world.before = lambda: (first.cancel(), setattr(world, "before", lambda: None))
    await asyncio.gather(first, second, return_exceptions=True)
    assert first.cancelled()
    assert world.instance(2) == "i"


async def test_a_change_that_comes_in_between_is_kept(world: World) -> None:
    others: list[asyncio.Task[int]] = []

    def interfere() -> None:
        world.before = lambda: None
        node = world.store.view().get(Node, "n1")
        assert node is not None
        others.append(asyncio.ensure_future(world.commit([Put(replace(node, instance="x"))])))  # type: ignore[arg-type]

    world.before = interfere
    await asyncio.gather(*(world.writer.change(f"n{number}", named) for number in range(3)), *others)
    assert [world.instance(number) for number in range(3)] == ["i", "xi", "i"]


async def test_each_hears_that_no_quorum_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(changes: Sequence[Change], *, leading: bool = False) -> int:
        await asyncio.sleep(0)
        raise Unavailable("no quorum")

    monkeypatch.setattr(world.store, "commit", fails)
    told = await asyncio.gather(*(world.writer.change(f"n{n}", named) for n in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [Unavailable] * 3
