"""The store over etcd, beside raw puts of the same kind of client: a lone one, and many at once; one member, on tmpfs."""

from __future__ import annotations

import asyncio
import statistics
import time

from bench.consensus import EACH, LONE, PROPOSERS, lone_commits, many_commits
from bench.figure import Figure
from manager.etcd.client import Client
from manager.etcd.log import EtcdLog
from manager.etcd.wire import put
from manager.store.store import open_store
from tests.harness.etcd import etcd

VALUE = b"x" * 200


def main() -> list[Figure]:
    with etcd() as server:
        return asyncio.run(measure(server.urls))


async def measure(urls: list[str]) -> list[Figure]:
    async with Client(urls) as client:
        lone_put, put_rate = await lone_puts(client), await many_puts(client)
    async with open_store(EtcdLog(urls, "/bench", "bench")) as store:
        lone, rate = await lone_commits(store), await many_commits(store)
    begin = time.perf_counter()
    async with open_store(EtcdLog(urls, "/bench", "bench")):
        reopened = time.perf_counter() - begin
    return [
        Figure(name="etcd_commit_1", value=lone * 1000, unit="ms", peer="put", peer_value=lone_put * 1000),
        Figure(name=f"etcd_commits_{PROPOSERS}", value=rate, unit="1/s", peer="puts", peer_value=put_rate),
        Figure(name=f"etcd_reopen_{LONE + PROPOSERS * EACH}", value=reopened * 1000, unit="ms"),
    ]


async def lone_puts(client: Client) -> float:
    """The median, in seconds."""
    taken = []
    for number in range(LONE):
        begin = time.perf_counter()
        await client.txn([], [put(b"/raw/lone%d" % number, VALUE)])
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


async def many_puts(client: Client) -> float:
    """Puts per second."""

    async def write(writer: int) -> None:
        for number in range(EACH):
            await client.txn([], [put(b"/raw/%d.%d" % (writer, number), VALUE)])

    begin = time.perf_counter()
    await asyncio.gather(*map(write, range(PROPOSERS)))
    return PROPOSERS * EACH / (time.perf_counter() - begin)
