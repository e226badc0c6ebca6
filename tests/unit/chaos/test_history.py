"""The judge of clients' histories: what could have happened passes, what could not is found."""

from __future__ import annotations

import math
import random

from tests.chaos.history import Operation, explain


def op(kind: str, begun: float, ended: float, mark: str | None = None, **more: str) -> Operation:
    return Operation(kind=kind, begun=begun, ended=ended, mark=mark, **more)  # type: ignore[arg-type]


def unknown(kind: str, begun: float, mark: str | None = None, **more: str) -> Operation:
    return op(kind, begun, math.inf, mark, outcome="unknown", **more)


CREATED = op("create", 0, 1, "a")


def test_a_plain_life_is_possible() -> None:
    life = [CREATED, op("read", 2, 3, "a"), op("swap", 4, 5, "b", of="a"), op("remove", 6, 7), op("read", 8, 9)]
    assert explain(life) is None
    assert explain([]) is None


def test_a_lost_write_is_found() -> None:
    assert explain([CREATED, op("read", 2, 3)]) == [CREATED]
    assert explain([CREATED, op("swap", 2, 3, "b", of="a"), op("read", 4, 5, "a")]) is not None


def test_a_stale_read_is_found_and_a_concurrent_one_is_not() -> None:
    swap = op("swap", 2, 6, "b", of="a")
    assert explain([CREATED, swap, op("read", 3, 4, "b"), op("read", 4.5, 5, "a")]) is not None
    assert explain([CREATED, swap, op("read", 3, 4, "a"), op("read", 4.5, 5, "b")]) is None


def test_two_writes_on_the_same_version_are_found() -> None:
    assert explain([CREATED, op("swap", 2, 3, "b", of="a"), op("swap", 2, 3, "c", of="a")]) is not None


def test_an_unknown_write_explains_either_and_also_much_later() -> None:
    lost = unknown("swap", 2, "b", of="a")
    assert explain([CREATED, lost, op("read", 30, 31, "a"), op("read", 50, 51, "b")]) is None
    assert explain([CREATED, lost, op("read", 30, 31, "b"), op("read", 50, 51, "a")]) is not None
    assert explain([op("read", 0, 1), unknown("create", 2, "a"), op("remove", 4, 5)]) is None
    assert explain([unknown("create", 2, "a"), op("read", 0, 1, "a")]) is not None


def test_refusals_say_something_too() -> None:
    assert explain([CREATED, op("create", 2, 3, "b", outcome="refused")]) is None
    assert explain([op("create", 2, 3, "b", outcome="refused")]) is not None
    assert explain([CREATED, op("remove", 2, 3, outcome="refused")]) is not None
    assert explain([CREATED, op("swap", 2, 3, "c", of="b", outcome="refused")]) is None
    assert explain([CREATED, op("swap", 2, 3, "c", of="a", outcome="refused")]) is not None


def test_long_histories_of_a_real_register_pass() -> None:
    """Operations happen at a moment within their time, so an order exists; it is found fast with many unknown ones."""
    rng = random.Random(4)
    state: str | None = None
    life = []
    for number in range(300):
        moment, seen = float(number), state
        begun, ended = moment - rng.random() * 4, moment + rng.random() * 4
        kind = rng.choice(["create", "swap", "remove", "read", "read", "swap"])
        mark = f"m{number}"
        if kind == "read":
            life.append(op("read", begun, ended, seen))
            continue
        fits = {"create": seen is None, "swap": seen is not None, "remove": seen is not None}[kind]
        hidden = rng.random() < 0.05
        if fits:
            state = None if kind == "remove" else mark
        outcome = "unknown" if hidden else "done" if fits else "refused"
        of = seen if fits and kind == "swap" else "never"
        life.append(
            Operation(kind, begun, math.inf if hidden else ended, None if kind == "remove" else mark, of, outcome)  # type: ignore[arg-type]
        )
    assert explain(life) is None
