"""Tasks and a host of containers that exist only in memory, for tests of the worker's session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from common.errors import NotFound, ShoalError
from common.model import (
    ContainerSpec,
    Network,
    NetworkAttachment,
    NetworkSpec,
    Secret,
    Task,
    TaskSpec,
    TaskState,
    TaskStatus,
)
from common.wire import Assignments
from common.wire import Membership as MembershipMessage
from worker.runtime.base import LogLine, LogReader
from worker.session.base import Phase, Seen


def task(
    id: str = "t1",
    *,
    slot: int = 1,
    desired: TaskState = TaskState.RUNNING,
    state: TaskState = TaskState.ASSIGNED,
    networks: tuple[str, ...] = (),
    **spec: Any,
) -> Task:
    return Task(
        id=id,
        service_id="service",
        slot=slot,
        node_id="node",
        name=f"web.{slot}.{id}",
        spec=TaskSpec(container_spec=ContainerSpec(**{"image": "busybox:latest", **spec})),
        status=TaskStatus(state=state),
        desired_state=desired,
        networks_attachments=tuple(NetworkAttachment(network_id=n, network=network(n)) for n in networks),
    )


def network(id: str, driver: str = "overlay") -> Network:
    return Network(id=id, spec=NetworkSpec(name=id, driver=driver, scope="swarm"))


def wanted(*tasks: Task, **others: Any) -> Assignments:
    return Assignments(tasks={t.id: t for t in tasks}, **others)


def seen(id: str = "t1", phase: Phase = Phase.CREATED, **fields: Any) -> Seen:
    return Seen(container_id=f"container-of-{id}", phase=phase, **fields)


class FakeLog:
    """A LogReader over a list of lines."""

    def __init__(self, lines: list[LogLine]) -> None:
        self._lines = lines

    async def read(
        self,
        *,
        follow: bool = False,
        tail: int = -1,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[LogLine]:
        for line in self._lines if tail < 0 else self._lines[len(self._lines) - tail :]:
            yield line


class FakeHost:
    """A TaskHost in memory. `broken[task id]`: the error that the next prepare or start of the task raises."""

    def __init__(self) -> None:
        self.containers: dict[str, Seen] = {}
        self.broken: dict[str, ShoalError] = {}
        self.always_broken: ShoalError | None = None
        self.secrets: dict[str, Secret] = {}
        self.tasks: dict[str, Task] = {}
        self.calls: list[tuple[str, str]] = []
        self.logs: dict[str, list[LogLine]] = {}
        self.busy = 0
        self.most_busy = 0
        self._events: asyncio.Queue[tuple[str, Seen | None]] = asyncio.Queue()

    async def prepare(self, task: Task, assignments: Assignments) -> Seen:
        await self._work("prepare", task.id)
        if self.always_broken is not None:
            raise self.always_broken
        self.secrets.update(assignments.secrets)
        self.tasks[task.id] = task
        self.containers.setdefault(task.id, seen(task.id))
        return self.containers[task.id]

    async def start(self, task_id: str) -> Seen:
        await self._work("start", task_id)
        return self._become(task_id, phase=Phase.RUNNING, pid=4711)

    async def stop(self, task_id: str) -> Seen | None:
        await self._work("stop", task_id)
        if task_id not in self.containers:
            return None
        return self._become(task_id, phase=Phase.EXITED, exit_code=137, pid=0)

    async def remove(self, task_id: str) -> None:
        await self._work("remove", task_id)
        self.containers.pop(task_id, None)

    async def observe(self) -> Mapping[str, Seen]:
        return dict(self.containers)

    async def watch(self) -> AsyncIterator[tuple[str, Seen | None]]:
        while True:
            yield await self._events.get()

    def log(self, container_id: str) -> LogReader:
        if container_id not in self.logs:
            raise NotFound(f"No such container: {container_id}")
        return FakeLog(self.logs[container_id])

    def change(self, task_id: str, **fields: Any) -> None:
        """The container changes by itself."""
        self._events.put_nowait((task_id, self._become(task_id, **fields)))

    def lose(self, task_id: str) -> None:
        """Someone removes the container behind the session's back."""
        del self.containers[task_id]
        self._events.put_nowait((task_id, None))

    def _become(self, task_id: str, **fields: Any) -> Seen:
        if task_id not in self.containers:
            raise NotFound(f"No such container: {task_id}")
        self.containers[task_id] = msgspec.structs.replace(self.containers[task_id], **fields)
        return self.containers[task_id]

    async def _work(self, what: str, task_id: str) -> None:
        self.calls.append((what, task_id))
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        if (error := self.broken.pop(task_id, None)) is not None:
            raise error


class FixedMembership:
    """A worker's place in a cluster: one manager, by its UNIX socket. It changes only when a test says so, by `become`."""

    def __init__(self, node_id: str, socket: Path) -> None:
        self.node_id = node_id
        self.messages: list[MembershipMessage] = []
        self.refusal = ""
        self._managers = [f"unix://{socket}"]
        self._changed = asyncio.Event()

    def managers(self) -> Sequence[str]:
        return self._managers

    def client_context(self) -> None:
        return None

    def data_path(self) -> str:
        return ""

    def tls_info(self) -> None:
        return None

    def told(self, message: MembershipMessage) -> None:
        self.messages.append(message)

    def refused(self, reason: str) -> None:
        self.refusal = reason

    async def changed(self) -> None:
        await self._changed.wait()

    def become(self, node_id: str) -> None:
        self.node_id = node_id
        self._changed.set()
        self._changed = asyncio.Event()
