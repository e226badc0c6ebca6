"""The driver on a store in memory: it leads, commits, retries, wakes, and fails loudly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from common.errors import Unavailable, VersionConflict
from common.model import Config, ConfigSpec
from manager import driver
from manager.agenda import LoopError
from manager.driver import Driver
from manager.loops.base import Wake
from manager.store.base import Change, Changed, Put, View
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store


class Labeller:
    """Gives every config the label done=yes."""

    name = "labeller"
    serial = False

    def keys(self, change: Changed) -> Iterable[str]:
        return (change.object.id,)

    def start(self, view: View) -> Iterable[str]:
        return [config.id for config in view.all(Config)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        config = view.get(Config, key)
        return [] if config is None or "done" in config.spec.labels else [Put(labelled(config))]


class Later(Labeller):
    """The same, but only a moment after the config was made."""

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        config = view.get(Config, key)
        due = config.created_at + timedelta(milliseconds=5) if config else view.now
        return [Wake(key, due)] if view.now < due else super().reconcile(view, key)


class Broken(Labeller):
    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        raise ZeroDivisionError


def labelled(config: Config) -> Config:
    return Config(id=config.id, version=config.version, spec=ConfigSpec(name=config.id, labels={"done": "yes"}))


def config(id: str) -> Put:
    return Put(Config(id=id, spec=ConfigSpec(name=id)))


@asynccontextmanager
async def driven(loop: Labeller, *present: str) -> AsyncIterator[StateStore]:
    async with open_store(MemoryLog()) as store:
        for id in present:
            await store.commit([config(id)])
        running = asyncio.ensure_future(Driver(store, [loop]).run())
        try:
            yield store
        finally:
            running.cancel()
            await asyncio.wait([running])


async def done(store: StateStore, *ids: str) -> None:
    events = store.watch()
    async with asyncio.timeout(5):
        while any("done" not in found.spec.labels for id in ids if (found := store.view().get(Config, id))):
            await anext(events)


async def test_what_is_there_and_what_comes_is_reconciled() -> None:
    async with driven(Labeller(), "a") as store:
        await done(store, "a")
        await store.commit([config("b"), config("c")])
        await done(store, "b", "c")


async def test_a_key_is_looked_at_again_at_its_moment() -> None:
    async with driven(Later()) as store:
        await store.commit([config("a")])
        await done(store, "a")


@pytest.mark.parametrize("error", [VersionConflict("somebody was faster"), Unavailable("no quorum")])
async def test_a_batch_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(driver, "RETRY", 0.001)
    async with driven(Labeller()) as store:
        await store.commit([config("a")])
        monkeypatch.setattr(store, "commit", failing_once(store.commit, error))
        await done(store, "a")


def failing_once(commit: Callable[..., Awaitable[int]], error: Exception) -> Callable[..., Awaitable[int]]:
    failures = [error]

    async def tried(changes: Sequence[Change], *, leading: bool = False) -> int:
        assert leading, "the driver writes only as leader"
        if failures:
            raise failures.pop()
        return await commit(changes, leading=leading)

    return tried


async def test_a_loop_that_fails_ends_the_driver() -> None:
    async with open_store(MemoryLog()) as store:
        await store.commit([config("a")])
        with pytest.raises(BaseExceptionGroup) as failure:
            async with asyncio.timeout(5):
                await Driver(store, [Broken()]).run()
    assert failure.group_contains(LoopError)
