"""Hollow workers: many workers' real sessions in one process, over containers and networks that exist only in memory.

`python -m bench.hollow_workers FOLDER FIRST COUNT`: nodes FIRST … of the manager whose socket lies in FOLDER, until it is
killed. The file FOLDER/progressFIRST says how far they are, so that nobody need ask the manager all the time.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from bench.alone import Alone
from common.errors import NotFound
from common.model import Network, Task
from common.settings import Settings
from common.wire import Assignments, Complete, FromManager, Peer, ServiceEndpoint
from worker.runtime.base import LogReader
from worker.session.base import Phase, Seen
from worker.session.client import Session
from worker.session.dialing import Dialer
from worker.session.logs import LogSender

OPENING = 50  # sessions that are opened at once
TELL = 0.02  # seconds


def node_id(number: int) -> str:
    return f"hollow{number:020}"


class Progress:
    """How many workers have their assignments, and how many containers have been started."""

    def __init__(self) -> None:
        self.connected = self.started = 0

    async def tell(self, path: Path) -> None:
        while True:
            path.with_suffix(".new").write_text(f"{self.connected} {self.started}")
            path.with_suffix(".new").replace(path)
            await asyncio.sleep(TELL)


class HollowHost:
    """A TaskHost whose containers do at once what they are told."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._containers: dict[str, Seen] = {}

    async def prepare(self, task: Task, assignments: Assignments) -> Seen:
        return self._containers.setdefault(task.id, Seen(container_id=f"{task.id:0<64}", phase=Phase.CREATED))

    async def start(self, task_id: str) -> Seen:
        self._progress.started += 1
        return self._become(task_id, phase=Phase.RUNNING, pid=1)

    async def stop(self, task_id: str) -> Seen | None:
        return self._become(task_id, phase=Phase.EXITED, pid=0) if task_id in self._containers else None

    async def remove(self, task_id: str) -> None:
        self._containers.pop(task_id, None)

    async def observe(self) -> Mapping[str, Seen]:
        return dict(self._containers)

    async def watch(self) -> AsyncIterator[tuple[str, Seen | None]]:
        await asyncio.get_running_loop().create_future()
        yield "", None

    def log(self, container_id: str) -> LogReader:
        raise NotFound(f"container {container_id} is hollow: it has no log")

    def _become(self, task_id: str, **fields: Any) -> Seen:
        seen = self._containers[task_id] = replace(self._containers[task_id], **fields)
        return seen


class HollowNetworks:
    """A ClusterNetworks that makes none."""

    def guests(self) -> Sequence[str]:
        return ()

    async def ensure(self, network: Network) -> None: ...

    async def forget_idle(self, needed: Callable[[], Collection[str]]) -> None: ...

    async def reach(self, peers: Sequence[Peer]) -> None: ...

    async def program(self, endpoints: Sequence[ServiceEndpoint]) -> None: ...


class HollowSession(Session):
    """Counts itself once it has its first assignments."""

    def __init__(self, engine: Any, node_id: str, manager: Path, host: HollowHost, progress: Progress) -> None:
        super().__init__(engine, Alone(node_id, manager), host)
        self._progress, self._counted = progress, False

    def _receive(self, message: FromManager, logs: LogSender, dialer: Dialer) -> None:
        super()._receive(message, logs, dialer)
        if not self._counted and isinstance(message, Complete):
            self._counted = True
            self._progress.connected += 1


async def work(folder: Path, first: int, count: int) -> None:
    """Opens the sessions a few at a time; the manager of a real cluster has as many machines to help it."""
    progress = Progress()
    async with asyncio.TaskGroup() as group:
        group.create_task(progress.tell(folder / f"progress{first}"))
        for number in range(first, first + count):
            settings = Settings(root=folder / "workers" / str(number), state=folder)
            engine: Any = SimpleNamespace(settings=settings, networks=HollowNetworks())
            session = HollowSession(engine, node_id(number), settings.manager_socket, HollowHost(progress), progress)
            group.create_task(session.run())
            if number % OPENING == 0:
                await asyncio.sleep(0)


if __name__ == "__main__":
    gc.disable()  # it would walk thousands of workers again and again: a cost that a worker of its own does not have
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
