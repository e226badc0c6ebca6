"""The CRI log format: joining parts, torn records, finding the tail."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.runtime.cri import MAX_LINE, Parser, tail_start

TIME = b"2026-01-31T12:00:00.123456789+00:00"


def record(text: bytes, flag: bytes = b"F", stream: bytes = b"stdout") -> bytes:
    return b" ".join((TIME, stream, flag, text)) + b"\n"


def test_a_line_has_its_time_in_full_precision() -> None:
    (line,) = Parser().feed(record(b"hello world"))
    assert (line.stream, line.data) == (1, b"hello world\n")
    assert line.time == datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert line.nanos == 1769860800_123456789


def test_a_local_offset_is_heeded() -> None:
    (line,) = Parser().feed(b"2026-01-31T13:00:00.000000001+01:00 stderr F x\n")
    assert (line.stream, line.nanos) == (2, 1769860800_000000001)


def test_parts_of_two_streams_are_joined_separately() -> None:
    data = record(b"a", b"P") + record(b"x", b"P", b"stderr") + record(b"b") + record(b"y", b"F", b"stderr")
    assert [(line.stream, line.data) for line in Parser().feed(data)] == [(1, b"ab\n"), (2, b"xy\n")]


def test_a_line_without_its_end_comes_at_the_end() -> None:
    parser = Parser()
    assert parser.feed(record(b"prompt> ", b"P")) == []
    assert [line.data for line in parser.end()] == [b"prompt> "]
    assert parser.end() == []


def test_an_endless_line_comes_in_pieces() -> None:
    parser = Parser()
    part = record(b"x" * 65536, b"P")
    pieces = [line.data for _ in range(40) for line in parser.feed(part)]
    assert [len(piece) for piece in pieces] == [MAX_LINE, MAX_LINE]


@pytest.mark.parametrize("torn", [b"\0\0\0\n", b"2026 stdout\n", b"garbage F stdout x\n", b"\n"])
def test_a_torn_record_is_left_out(torn: bytes) -> None:
    assert [line.data for line in Parser().feed(torn + record(b"next"))] == [b"next\n"]


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b), max_size=20), st.integers(1, 50))
def test_how_the_bytes_arrive_does_not_matter(texts: list[bytes], size: int) -> None:
    data = b"".join(record(text) for text in texts)
    parser = Parser()
    got = [line.data for at in range(0, len(data), size) for line in parser.feed(data[at : at + size])]
    assert got == [text + b"\n" for text in texts]


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 5000, 9999, 10000, 12000])
def test_the_tail_begins_at_a_line(tmp_path: Path, lines: int) -> None:
    records = [record(b"line %d" % number) for number in range(10000)]
    file = tmp_path / "log"
    file.write_bytes(b"".join(records))
    with file.open("rb") as opened:
        start, missing = tail_start(opened.fileno(), lines)
        rest = os.pread(opened.fileno(), 10**8, start)
    assert rest == b"".join(records[len(records) - min(lines, 10000) :])
    assert missing == max(0, lines - 10000)


def test_the_tail_counts_joined_lines(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(record(b"1") + record(b"2a", b"P") + record(b"2b") + record(b"3", b"P"))
    with file.open("rb") as opened:
        one, two = (tail_start(opened.fileno(), count)[0] for count in (1, 2))
    assert file.read_bytes()[one:] == record(b"3", b"P")
    assert file.read_bytes()[two:].startswith(record(b"2a", b"P"))
