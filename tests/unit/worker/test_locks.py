"""Locks by name."""

from __future__ import annotations

import asyncio
import gc

from worker.locks import Locks


async def test_one_name_at_a_time_and_others_meanwhile() -> None:
    locks = Locks()
    order: list[str] = []

    async def work(name: str, label: str) -> None:
        async with locks[name]:
            order.append(f"{label} in")
            await asyncio.sleep(0)
            order.append(f"{label} out")

    await asyncio.gather(work("a", "first"), work("a", "second"), work("b", "other"))
    assert order.index("first out") < order.index("second in")
    assert order.index("other in") < order.index("first out")


async def test_nothing_is_kept_of_names_without_holders() -> None:
    locks = Locks()
    async with locks["a"]:
        assert locks["a"].locked()
    gc.collect()
    assert len(locks._locks) == 0
