"""Messages of transfers: statuses are all told, figures only the newest of each layer."""

from __future__ import annotations

import asyncio

import pytest

from common.errors import NotFound
from worker.distribution.progress import Progress, told


async def test_a_slow_reader_gets_the_newest_figures_and_all_statuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.distribution.progress._INTERVAL", 0.0)

    async def work(progress: Progress) -> None:
        progress.layer("Pulling fs layer", "a")
        for done in range(5):
            progress.figure("Downloading", "a", done, 5)
        progress.figure("Downloading", "b", 1, 2)
        progress.layer("Pull complete", "b")
        progress.say("Digest: x")

    messages = [message async for message in told(work)]
    assert [(m["status"], m.get("progressDetail", {}).get("current")) for m in messages] == [
        ("Pulling fs layer", None),
        ("Downloading", 4),
        ("Pull complete", None),
        ("Digest: x", None),
    ]


async def test_a_failure_comes_behind_the_messages_and_leaving_cancels() -> None:
    async def fails(progress: Progress) -> None:
        progress.say("one")
        raise NotFound("gone")

    messages = told(fails)
    assert (await anext(messages))["status"] == "one"
    with pytest.raises(NotFound, match="gone"):
        await anext(messages)
    ended = asyncio.Event()

    async def endless(progress: Progress) -> None:
        progress.say("begun")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    messages = told(endless)
    await anext(messages)
    await messages.aclose()
    assert ended.is_set()
