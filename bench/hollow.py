"""A big cluster without its containers: how long a real manager and many workers' real sessions take until all tasks run.

The manager is a process of its own, as the launcher starts it (Raft log with a quorum of one, on disk); the workers share
another one (hollow_workers.py), and say themselves how far they are, so that the measurement asks the manager nothing while it
works. Time is from the creation of the first service until the API counts all tasks as running. Processor seconds stand
beside it: they hardly depend on what else the machine does. Beyond a thousand nodes that one process gets more time for its
signs of life than a worker of its own would need.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bench.client import Client, until
from bench.figure import Figure
from bench.hollow_workers import node_id
from common.identity.identity import first_identity
from common.identity.start import ManagerStart
from common.identity.start import encode as encode_start
from common.model import SECOND, Cluster, Node
from common.model.node import DispatcherConfig
from common.settings import Settings, encode
from manager.bootstrap import seed
from manager.raft.log import RaftLog
from manager.store.base import Put
from manager.store.store import open_store

MANAGER = "manager"
SERVICE = 1000  # tasks of one service
PATIENCE = 1800.0  # seconds
IDLE = 5.0  # seconds in which nothing happens
REPO = Path(__file__).resolve().parents[1]
_FAST = "/dev/shm"  # a thousand workers have a thousand disks


def main(nodes: int = 1000, tasks: int = 30_000) -> list[Figure]:
    run = measure(nodes, tasks)
    return [
        Figure(name="connect_s", value=run.connect, unit="s"),
        Figure(name=f"tasks_{short(tasks)}_{short(nodes)}_s", value=run.placed, unit="s"),
        Figure(name="manager_connect_cpu_s", value=run.connect_cpu, unit="s"),
        Figure(name="manager_cpu_s", value=run.manager_cpu, unit="s"),
        Figure(name="manager_work_s", value=run.work, unit="s"),
        Figure(name="workers_cpu_s", value=run.workers_cpu, unit="s"),
        Figure(name="manager_idle_cpu", value=run.idle_cpu, unit="%"),
        Figure(name="manager_mb", value=run.manager_mb, unit="MB"),
    ]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until all sessions were open and all tasks ran, processor seconds of both, what the manager takes of one
    processor when nothing happens (%), the most memory that it ever held (MB)."""

    connect: float
    placed: float
    connect_cpu: float
    manager_cpu: float
    workers_cpu: float
    idle_cpu: float
    manager_mb: float

    @property
    def work(self) -> float:
        """Processor seconds of the manager for the tasks alone, without those for signs of life in the meantime."""
        return self.manager_cpu - self.idle_cpu / 100 * self.placed


def measure(nodes: int, tasks: int, processes: int = 1) -> Run:
    with tempfile.TemporaryDirectory(prefix="shoal-hollow-", dir=_FAST) as name:
        return _measure(Path(name), nodes, tasks, processes)


def _measure(folder: Path, nodes: int, tasks: int, processes: int) -> Run:
    settings = Settings(root=folder / "manager", state=folder)
    asyncio.run(_prepare(settings, nodes))
    (folder / "settings.json").write_bytes(encode(settings))
    command = [sys.executable, "-m", "shoal", "manager", str(folder / "settings.json"), str(os.getpid())]
    start = encode_start(ManagerStart(first_identity(MANAGER)))
    with ExitStack() as stack:
        manager = stack.enter_context(_process(command, folder / "manager.log", start))
        until(settings.manager_socket.exists, PATIENCE)
        client = stack.enter_context(closing(Client(settings.manager_socket, version="")))
        before, begin = _cpu(manager), time.monotonic()
        workers = [stack.enter_context(_workers(folder, *part)) for part in _parts(nodes, processes)]
        until(lambda: _progress(folder)[0] >= nodes, PATIENCE)
        connected = until(lambda: _ready(client) >= nodes, PATIENCE) - begin
        connect_cpu = _cpu(manager) - before
        at_work = _cpu(manager), sum(map(_cpu, workers))
        placed = _place(client, folder, tasks)
        manager_cpu, workers_cpu = _cpu(manager) - at_work[0], sum(map(_cpu, workers)) - at_work[1]
        return Run(
            connect=connected,
            placed=placed,
            connect_cpu=connect_cpu,
            manager_cpu=manager_cpu,
            workers_cpu=workers_cpu,
            idle_cpu=_idle(manager),
            manager_mb=_peak(manager),
        )


def _place(client: Client, folder: Path, tasks: int) -> float:
    """Seconds until all of them run, as the API says; it is asked once the workers have started them."""
    begin = time.monotonic()
    for number, start in enumerate(range(0, tasks, SERVICE)):
        client.post("/services/create", _service(f"hollow{number}", min(SERVICE, tasks - start)))
    until(lambda: _progress(folder)[1] >= tasks, PATIENCE)
    return until(lambda: _running(client) >= tasks, PATIENCE) - begin


def _parts(nodes: int, processes: int) -> list[tuple[int, int]]:
    """(first node, how many) of each process of workers."""
    bounds = [nodes * number // processes for number in range(processes + 1)]
    return [(first, end - first) for first, end in pairwise(bounds)]


def _workers(folder: Path, first: int, count: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bench.hollow_workers", str(folder), str(first), str(count)]
    return _process(command, folder / f"workers{first}.log")


def _progress(folder: Path) -> tuple[int, int]:
    """(sessions that are open, containers that were started)"""
    told = [[int(word) for word in path.read_text().split()] for path in folder.glob("progress*[0-9]")]
    return sum(one[0] for one in told), sum(one[1] for one in told)


def _idle(process: subprocess.Popen[bytes]) -> float:
    time.sleep(2)
    before = _cpu(process)
    time.sleep(IDLE)
    return (_cpu(process) - before) / IDLE * 100


async def _prepare(settings: Settings, nodes: int) -> None:
    """The nodes have joined before the measurement begins."""
    async with open_store(RaftLog(settings.root / "raft", MANAGER)) as store:
        await store.commit(seed(store.view(), MANAGER, settings.cluster_pools))
        [cluster] = store.view().all(Cluster)
        dispatcher = DispatcherConfig(heartbeat_period=5 * SECOND * max(1, nodes // 1000))
        await store.commit([Put(replace(cluster, spec=replace(cluster.spec, dispatcher=dispatcher)))])
        await store.commit([Put(Node(id=node_id(number))) for number in range(nodes)])


@contextmanager
def _process(command: list[str], log: Path, told: bytes = b"") -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=output, stderr=output)
    assert process.stdin is not None
    process.stdin.write(told)
    process.stdin.flush()
    try:
        yield process
    finally:
        ended = process.poll() is not None
        process.terminate()
        process.wait()
        if ended:
            raise RuntimeError(f"{' '.join(command)} ended too soon:\n{log.read_text()[-3000:]}")


def _service(name: str, replicas: int) -> dict[str, Any]:
    return {
        "Name": name,
        "TaskTemplate": {"ContainerSpec": {"Image": "busybox:latest", "Args": ["sleep", "100000"]}},
        "Mode": {"Replicated": {"Replicas": replicas}},
    }


def _ready(client: Client) -> int:
    return sum(node["Status"]["State"] == "ready" for node in client.get("/nodes"))


def _running(client: Client) -> int:
    return sum(service["ServiceStatus"]["RunningTasks"] for service in client.get("/services?status=1"))


def _cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time that the process has taken."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(process: subprocess.Popen[bytes]) -> float:
    """The most memory that the process ever held, in MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def short(count: int) -> str:
    return f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else str(count)
