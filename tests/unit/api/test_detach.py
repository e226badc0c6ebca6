"""Detach keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidArgument
from worker.api.detach import DEFAULT, DetachFilter, parse_keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [(DEFAULT, b"\x10\x11"), ("a", b"a"), ("ctrl-@,b", b"\0b"), ("CTRL-A,x", b"\x01x"), ("ctrl-\\", b"\x1c")],
)
def test_keys(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-1", "ab", "a,,b", "ä"])
def test_invalid_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid detach keys"):
        parse_keys(text)


def test_the_sequence_detaches_wherever_it_is_cut() -> None:
    keys = DetachFilter(b"\x10\x11")
    assert keys.feed(b"ls\n\x10") == (b"ls\n", False)
    assert keys.feed(b"\x11rest") == (b"", True)


def test_half_a_sequence_goes_to_the_process_after_all() -> None:
    keys = DetachFilter(b"\x10\x11")
    assert keys.feed(b"\x10") == (b"", False)
    assert keys.feed(b"x") == (b"\x10x", False)
    assert keys.feed(b"\x10\x10\x11") == (b"\x10", True)


@given(st.lists(st.binary(max_size=8)))
def test_nothing_is_lost_without_the_sequence(parts: list[bytes]) -> None:
    keys = DetachFilter(b"\x10\x11")
    data = b"".join(parts).replace(b"\x11", b"")
    assert keys.feed(data + b".")[0] == data + b"."
