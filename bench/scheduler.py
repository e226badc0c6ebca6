"""The scheduler on a store in memory: how long it takes to place many tasks of one service on many nodes.

The counts are those of SwarmKit's own benchmark. A task is placed when its transaction is committed.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from bench.figure import Figure
from common.model import (
    ContainerSpec,
    Node,
    NodeDescription,
    NodeSpec,
    NodeStatus,
    Service,
    ServiceSpec,
    Task,
    TaskSpec,
    TaskState,
    TaskStatus,
    Version,
)
from common.model.service import Placement
from manager.agenda import Agenda
from manager.loops.scheduler import Scheduler
from manager.store.base import Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store

ROUNDS = 3
CHUNK = 10_000  # objects in one commit while the state is prepared
CONSTRAINTS = ["node.labels.zone == 1", "node.role == worker", "node.labels.missing != x"]


def main() -> list[Figure]:
    return [
        *figures("place_10k_1k", 10_000, 1_000, []),
        *figures("place_100k_1k", 100_000, 1_000, []),
        *figures("constraints_100k_5k", 100_000, 5_000, CONSTRAINTS),
    ]


def figures(name: str, tasks: int, nodes: int, constraints: list[str]) -> list[Figure]:
    """The medians of time passed and, for when others use the machine too, of the processor's time."""
    rounds = [asyncio.run(measure(tasks, nodes, constraints)) for _ in range(ROUNDS)]
    passed, used = (statistics.median(values) for values in zip(*rounds, strict=True))
    return [Figure(name=f"{name}_s", value=passed, unit="s"), Figure(name=f"{name}_cpu_s", value=used, unit="s")]


async def measure(tasks: int, nodes: int, constraints: list[str]) -> tuple[float, float]:
    """Seconds until `tasks` tasks are assigned to the `nodes` nodes that the constraints leave: passed, and of the processor."""
    async with open_store(MemoryLog()) as store:
        await _prepare(store, tasks, nodes, constraints)
        agenda, events = Agenda([Scheduler()]), store.watch()
        begin, begin_used = time.perf_counter(), time.process_time()
        agenda.start(store.view())
        while (batch := agenda.next(store.view())) is not None:
            await store.commit(batch.changes)
            agenda.observe(await anext(events))
        taken = time.perf_counter() - begin, time.process_time() - begin_used
        assert len(store.view().find(Task, "state", TaskState.ASSIGNED)) == tasks
    return taken


async def _prepare(store: StateStore, tasks: int, nodes: int, constraints: list[str]) -> None:
    template = TaskSpec(container_spec=ContainerSpec(image="x"), placement=Placement(constraints=constraints))
    version = Version(index=1)
    objects: list[Node | Service | Task] = [_node(number) for number in range(nodes)]
    objects.append(Service(id="web", spec=ServiceSpec(name="web", task_template=template), spec_version=version))
    pending = TaskStatus(state=TaskState.PENDING)
    objects += [
        Task(
            id=f"task{number}",
            service_id="web",
            slot=number + 1,
            spec_version=version,
            status=pending,
            desired_state=TaskState.RUNNING,
        )
        for number in range(tasks)
    ]
    for start in range(0, len(objects), CHUNK):
        await store.commit([Put(object) for object in objects[start : start + CHUNK]])


def _node(number: int) -> Node:
    return Node(
        id=f"node{number}",
        spec=NodeSpec(labels={"zone": str(number % 3)}),
        description=NodeDescription(hostname=f"node{number}"),
        status=NodeStatus(state="ready"),
    )
