"""The queue between a container and a slow client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from worker.runtime.spool import Overflow, Spool


async def test_order_is_kept_through_memory_and_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path, memory=100)
    pieces = [(1 + number % 2, b"%03d" % number * 5) for number in range(200)]
    got = []
    for number, piece in enumerate(pieces):
        spool.put(*piece)
        if number % 3 == 0:
            got.append(await spool.get())
    spool.end()
    while (piece := await spool.get()) is not None:
        got.append(piece)
    assert got == pieces
    spool.close()
    assert list(tmp_path.iterdir()) == []


async def test_the_file_is_used_again_after_it_was_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, memory=10, limit=1000)
    for _ in range(50):
        for _ in range(10):
            spool.put(1, b"x" * 10)
        assert [await spool.get() for _ in range(10)] == [(1, b"x" * 10)] * 10
    spool.close()


async def test_who_lags_too_far_behind_overflows(tmp_path: Path) -> None:
    spool = Spool(tmp_path, memory=10, limit=1000)
    spool.put(1, b"x" * 500)
    with pytest.raises(Overflow):
        spool.put(1, b"x" * 501)
    spool.close()


async def test_a_reader_waits_for_news(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(spool.get())
        await asyncio.sleep(0)
        assert not reader.done()
        spool.put(2, b"late")
    assert reader.result() == (2, b"late")
