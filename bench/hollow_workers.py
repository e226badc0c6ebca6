"""Hollow workers: many workers' real sessions in one process, over containers and networks that exist only in memory.

`python -m bench.hollow_workers FOLDER COUNT`: nodes hollow0 … of the manager whose socket lies in FOLDER, until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from common.errors import NotFound
from common.model import Network, Task
from common.settings import Settings
from common.wire import Assignments, ServiceEndpoint
from worker.runtime.base import LogReader
from worker.session.alone import Alone
from worker.session.base import Phase, Seen
from worker.session.client import Session

OPENING = 50  # sessions that are opened at once


def node_id(number: int) -> str:
    return f"hollow{number:020}"


class HollowHost:
    """A TaskHost whose containers do at once what they are told."""

    def __init__(self) -> None:
        self._containers: dict[str, Seen] = {}

    async def prepare(self, task: Task, assignments: Assignments) -> Seen:
        return self._containers.setdefault(task.id, Seen(container_id=f"{task.id:0<64}", phase=Phase.CREATED))

    async def start(self, task_id: str) -> Seen:
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

    async def program(self, endpoints: Sequence[ServiceEndpoint]) -> None: ...


async def work(folder: Path, count: int) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            settings = Settings(root=folder / "workers" / str(number), state=folder)
            engine: Any = SimpleNamespace(settings=settings, networks=HollowNetworks())
            group.create_task(Session(engine, Alone(node_id(number), settings.manager_socket), HollowHost()).run())
            if number % OPENING == 0:
                await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))
