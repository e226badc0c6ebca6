"""Watchers: those that fall behind are cut off, those that nobody holds are gone; a restored snapshot is one event."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from common.errors import Unavailable
from common.model import Secret, SecretSpec
from manager.store.base import Delete, Event, Put
from manager.store.codec import encode_transaction
from manager.store.foreign import Foreign
from manager.store.store import StateMachine
from manager.store.watch import Watch, Watchers

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def secret(id: str, version: int = 0) -> Secret:
    found = Secret(id=id, spec=SecretSpec(name=id))
    return found if not version else type(found)(id=id, spec=found.spec, version=type(found.version)(index=version))


async def test_a_watcher_that_falls_behind_is_cut_off() -> None:
    watch = Watch(backlog=3)
    for revision in range(5):
        watch.push(Event(revision, ()))
    with pytest.raises(Unavailable, match="fell more than 3 changes behind"):
        await anext(watch)


async def test_a_watcher_that_nobody_holds_costs_nothing() -> None:
    watchers = Watchers()
    held, dropped = watchers.watch(), watchers.watch()
    del dropped
    gc.collect()
    watchers.publish(Event(1, ()))
    assert len(watchers._watches) == 1
    assert (await anext(held)).revision == 1


async def test_a_restored_snapshot_is_one_event_with_the_difference() -> None:
    ahead, behind = StateMachine(), StateMachine()
    entries = [
        encode_transaction([Put(secret("stays")), Put(secret("goes")), Put(secret("changes"))], NOW, Foreign()),
        encode_transaction(
            [Put(secret("changes", 1)), Put(secret("comes")), Delete(secret("goes", 1))], NOW, Foreign()
        ),
    ]
    for index, entry in enumerate(entries, 1):
        assert ahead.apply(index, entry) is None
    behind.apply(1, entries[0])
    watch = behind.watchers.watch()
    behind.restore(2, ahead.snapshot()())
    event = await anext(watch)
    parts = {c.object.id: (c.before is not None, c.after is not None) for c in event.changes}
    assert (event.revision, parts) == (2, {"goes": (True, False), "changes": (True, True), "comes": (False, True)})
    assert sorted(map(str, behind.tables.objects())) == sorted(map(str, ahead.tables.objects()))
    assert [s.id for s in behind.tables[Secret].find("name", "comes")] == ["comes"]
