"""The agenda: keys once, batches without overlaps, moments, and loops that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from common.model import Config, ConfigSpec, Version
from manager.agenda import CHANGES, KEYS, Agenda, LoopError
from manager.loops.base import Wake
from manager.store.base import Change, Changed, Event, Put, View
from manager.store.tables import Tables
from manager.store.view import LiveView

START = datetime(2026, 1, 1, tzinfo=UTC)


class Scripted:
    """A loop whose keys are the ids of configs and whose answers come from a function."""

    name = "scripted"

    def __init__(self, answer: Callable[[View, str], list[Change | Wake]], *, serial: bool = False) -> None:
        self.serial = serial
        self.asked: list[str] = []
        self._answer = answer

    def keys(self, change: Changed) -> Iterable[str]:
        return (change.object.id,)

    def start(self, view: View) -> Iterable[str]:
        return ("start",)

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        self.asked.append(key)
        return self._answer(view, key)


def put(id: str) -> Put:
    return Put(Config(id=id, spec=ConfigSpec(name=id)))


def event(*ids: str) -> Event:
    return Event(1, tuple(Changed(None, put(id).object) for id in ids))


def view(seconds: float = 0) -> View:
    return LiveView(Tables(), START + timedelta(seconds=seconds))


def agenda(loop: Scripted, *keys: str) -> Agenda:
    made = Agenda([loop])
    made.observe(event(*keys))
    return made


def test_each_key_is_looked_at_once_however_often_it_was_concerned() -> None:
    loop = Scripted(lambda view, key: [])
    made = agenda(loop, "a", "b", "a")
    made.observe(event("b"))
    assert made.next(view()) is None
    assert loop.asked == ["a", "b"]


def test_leadership_begins_with_what_the_loop_wants_to_see() -> None:
    loop = Scripted(lambda view, key: [put(key)])
    made = Agenda([loop])
    made.start(view())
    batch = made.next(view())
    assert batch is not None
    assert batch.keys == ["start"]


def test_keys_that_change_the_same_object_come_one_after_the_other() -> None:
    loop = Scripted(lambda view, key: [put("shared" if key in "ac" else key)])
    made = agenda(loop, "a", "b", "c", "d")
    batches = [batch.keys for batch in iter(lambda: made.next(view()), None)]
    assert batches == [["a", "b"], ["d", "c"]]


def test_a_serial_loop_is_asked_for_one_key_at_a_time() -> None:
    made = agenda(Scripted(lambda view, key: [put(key)], serial=True), "a", "b")
    assert [batch.keys for batch in iter(lambda: made.next(view()), None)] == [["a"], ["b"]]


def test_batches_have_a_size() -> None:
    names = [f"k{number}" for number in range(KEYS + 1)]
    made = agenda(Scripted(lambda view, key: [put(key)]), *names)
    assert [len(batch.keys) for batch in iter(lambda: made.next(view()), None)] == [KEYS, 1]
    large = agenda(Scripted(lambda view, key: [put(f"{key}{n}") for n in range(CHANGES)]), "a", "b")
    assert [batch.keys for batch in iter(lambda: large.next(view()), None)] == [["a"], ["b"]]


def test_a_batch_that_was_not_committed_is_tried_again() -> None:
    loop = Scripted(lambda view, key: [put(key)])
    made = agenda(loop, "a", "b")
    batch = made.next(view())
    assert batch is not None
    made.retry(batch)
    assert made.next(view()) == batch


def test_a_key_comes_back_at_its_earliest_moment_and_only_once() -> None:
    moments = iter([5.0, 3.0])
    loop = Scripted(lambda view, key: [Wake(key, START + timedelta(seconds=at))] if (at := next(moments, 0)) else [])
    made = agenda(loop, "a")
    assert made.next(view()) is None
    made.observe(event("a"))
    assert made.next(view()) is None
    assert made.wake_at == START + timedelta(seconds=3)
    assert made.next(view(2)) is None
    assert loop.asked == ["a", "a"]
    made.next(view(3))
    made.next(view(6))
    assert loop.asked == ["a", "a", "a"]
    assert made.wake_at is None


def test_a_loop_that_fails_names_itself_and_its_key() -> None:
    def fail(view: View, key: str) -> list[Change | Wake]:
        raise KeyError(Version().index)

    with pytest.raises(LoopError, match="the scripted loop failed on 'a': KeyError"):
        agenda(Scripted(fail), "a").next(view())
