"""Logs of real containers: following, tails, rotation, times."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.bundles import Workshop, workshop
from tests.harness.wait import until
from worker.runtime.conmon import ConmonRuntime

SLOWLY = 'i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo "line $i"; sleep {pause}; done'


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as made:
        yield made


def numbered(first: int, last: int) -> list[bytes]:
    return [b"line %d\n" % number for number in range(first, last + 1)]


async def test_following_ends_with_the_container(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", SLOWLY.format(count=20, pause=0.02) + "; echo -n unfinished")
    async with asyncio.timeout(20):
        assert await shop.lines("c", follow=True) == [*numbered(1, 20), b"unfinished"]


async def test_following_shows_a_line_when_it_is_written(shop: Workshop) -> None:
    await shop.create("c", "sh", "-c", "echo one; read x; echo two; read x", stdin=True)
    streams = await shop.runtime.attach("c")
    await shop.runtime.start("c")
    lines = shop.runtime.log("c", shop.log("c")).read(follow=True)
    async with asyncio.timeout(20):
        assert (await anext(lines)).data == b"one\n"
        await streams.write(b"\n")
        assert (await anext(lines)).data == b"two\n"
        await streams.write(b"\n")
        with pytest.raises(StopAsyncIteration):
            await anext(lines)
    streams.close()


async def test_what_does_not_run_cannot_be_followed(shop: Workshop) -> None:
    await shop.run("c", "echo", "x")
    await shop.runtime.wait("c")
    async with asyncio.timeout(5):
        assert await shop.lines("c", follow=True) == [b"x\n"]
        assert await shop.lines("unknown", follow=True) == []


async def test_tails(shop: Workshop) -> None:
    await shop.run("c", "awk", 'BEGIN { for (i = 1; i <= 1000; i++) print "line " i }')
    await shop.runtime.wait("c")
    assert await shop.lines("c", tail=3) == numbered(998, 1000)
    assert await shop.lines("c", tail=0) == []
    assert len(await shop.lines("c", tail=5000)) == 1000


async def test_since_and_until(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", SLOWLY.format(count=10, pause=0.02))
    await shop.runtime.wait("c")
    lines = [line async for line in shop.runtime.log("c", shop.log("c")).read()]
    middle = lines[4].time
    assert await shop.lines("c", since=middle) == numbered(5, 10)
    assert len(await shop.lines("c", until=middle)) in (4, 5)  # the moment is cut to microseconds
    assert await shop.lines("c", since=datetime.now(UTC)) == []


async def test_following_until_a_moment_ends_then(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", "echo x; sleep 1000")
    async with asyncio.timeout(10):
        assert await shop.lines("c", follow=True, until=datetime.now(UTC) + timedelta(seconds=0.3)) == [b"x\n"]


async def test_rotation_keeps_the_newest_files(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", SLOWLY.format(count=120, pause=0.01), log_max_size=1000, log_max_files=3)
    async with asyncio.timeout(30):
        assert await shop.lines("c", follow=True) == numbered(1, 120)
    files = sorted(path.name for path in shop.bundle("c").glob("log*"))
    assert files == ["log", "log.0", "log.1", "log.2"]
    assert os.path.samefile(shop.log("c"), shop.bundle("c") / "log.0")
    kept = await shop.lines("c")
    assert kept == numbered(121 - len(kept), 120)
    assert 20 < len(kept) < 120
    assert await shop.lines("c", tail=25) == numbered(96, 120)


async def test_one_file_is_bounded_by_the_monitor_alone(shop: Workshop) -> None:
    await shop.run("c", "seq", "1", "100000", log_max_size=10_000)
    await shop.runtime.wait("c")
    assert sum(path.stat().st_size for path in shop.bundle("c").glob("log*")) <= 10_000
    assert (await shop.lines("c"))[-1] == b"100000\n"


async def test_a_flood_stays_bounded(shop: Workshop) -> None:
    await shop.run("c", "seq", "1", "300000", log_max_size=50_000, log_max_files=3)
    await shop.runtime.wait("c")
    assert sum(path.stat().st_size for path in shop.bundle("c").glob("log*")) <= 4 * 50_000
    assert (await shop.lines("c"))[-1] == b"300000\n"


async def test_rotation_goes_on_under_the_next_daemon(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", "read x; seq 1 40; read x", stdin=True, log_max_size=1000, log_max_files=2)
    await shop.runtime.close()
    runtime = ConmonRuntime(shop.settings)
    await runtime.start_up()
    await runtime.recover("c", shop.bundle("c"))
    streams = await runtime.attach("c")
    await streams.write(b"\n")
    await asyncio.to_thread(until, (shop.bundle("c") / "log.1").exists, "the log is rotated")
    await streams.write(b"\n")
    await runtime.wait("c")
    streams.close()
    await runtime.close()
    await shop.runtime.start_up()
