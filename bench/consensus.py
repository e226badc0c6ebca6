"""The store over the Raft log of a single node, with fsync: how long a lone commit takes, how many a second many make."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from bench.figure import Figure
from common.model import Task
from manager.raft.log import RaftLog
from manager.store.base import Put
from manager.store.store import StateStore, open_store

LONE = 500  # commits, one after the other
PROPOSERS = 512
EACH = 40  # commits of each proposer


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
        return asyncio.run(measure(Path(folder)))


async def measure(folder: Path) -> list[Figure]:
    async with open_store(RaftLog(folder, "bench")) as store:
        lone = await lone_commits(store)
        rate = await many_commits(store)
    begin = time.perf_counter()
    async with open_store(RaftLog(folder, "bench")):
        reopened = time.perf_counter() - begin
    return [
        Figure(name="commit_1", value=lone * 1000, unit="ms"),
        Figure(name=f"commits_{PROPOSERS}", value=rate, unit="1/s"),
        Figure(name=f"reopen_{LONE + PROPOSERS * EACH}", value=reopened * 1000, unit="ms"),
    ]


async def lone_commits(store: StateStore) -> float:
    """The median, in seconds."""
    taken = []
    for number in range(LONE):
        begin = time.perf_counter()
        await store.commit([Put(Task(id=f"lone{number}", service_id="lone", slot=number + 1))])
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


async def many_commits(store: StateStore) -> float:
    """Commits per second."""

    async def propose(proposer: int) -> None:
        for number in range(EACH):
            await store.commit([Put(Task(id=f"{proposer}.{number}", service_id=f"{proposer}", slot=number + 1))])

    begin = time.perf_counter()
    await asyncio.gather(*map(propose, range(PROPOSERS)))
    return PROPOSERS * EACH / (time.perf_counter() - begin)
