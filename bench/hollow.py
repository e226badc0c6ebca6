"""A big cluster without its containers: how long a real manager and many workers' real sessions take until all tasks run.

The manager is a process of its own, as the launcher starts it (Raft log with a quorum of one, on disk); the workers share
one process (hollow_workers.py). Time is from the creation of the first service until the API counts all tasks as running.
Beyond a thousand nodes that one process gets more time for its signs of life than a worker of its own would need.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
REPO = Path(__file__).resolve().parents[1]
_FAST = "/dev/shm"  # a thousand workers have a thousand disks


def main(nodes: int = 1000, tasks: int = 30_000) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="shoal-hollow-", dir=_FAST) as name:
        return measure(Path(name), nodes, tasks)


def measure(folder: Path, nodes: int, tasks: int) -> list[Figure]:
    settings = Settings(root=folder / "manager", state=folder)
    asyncio.run(_prepare(settings, nodes))
    (folder / "settings.json").write_bytes(encode(settings))
    command = [sys.executable, "-m", "shoal", "manager", str(folder / "settings.json"), str(os.getpid())]
    start = encode_start(ManagerStart(first_identity(MANAGER)))
    with _process(command, folder / "manager.log", start) as manager:
        until(settings.manager_socket.exists, PATIENCE)
        client = Client(settings.manager_socket, version="")
        begin = time.monotonic()
        with _process(
            [sys.executable, "-m", "bench.hollow_workers", str(folder), str(nodes)], folder / "workers.log"
        ) as w:
            connected = until(lambda: _ready(client) >= nodes, PATIENCE) - begin
            before = _cpu(manager), _cpu(w)
            begin = time.monotonic()
            for number, start in enumerate(range(0, tasks, SERVICE)):
                client.post("/services/create", _service(f"hollow{number}", min(SERVICE, tasks - start)))
            until(lambda: _running(client, f"hollow{number}") >= tasks - start, PATIENCE)
            placed = until(lambda: _running(client) >= tasks, PATIENCE) - begin
            figures = [
                Figure(name="connect_s", value=connected, unit="s"),
                Figure(name=f"tasks_{_short(tasks)}_{_short(nodes)}_s", value=placed, unit="s"),
                Figure(name="manager_cpu_s", value=_cpu(manager) - before[0], unit="s"),
                Figure(name="workers_cpu_s", value=_cpu(w) - before[1], unit="s"),
                Figure(name="manager_mb", value=_peak(manager), unit="MB"),
            ]
        client.close()
        return figures


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


def _running(client: Client, *names: str) -> int:
    """How many tasks run, of all services or of those with the `names` (which is less work for the manager)."""
    services = client.get("/services?status=1", name=[*names]) if names else client.get("/services?status=1")
    return sum(service["ServiceStatus"]["RunningTasks"] for service in services)


def _cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time that the process has taken."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(process: subprocess.Popen[bytes]) -> float:
    """The most memory that the process ever held, in MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def _short(count: int) -> str:
    return f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else str(count)
