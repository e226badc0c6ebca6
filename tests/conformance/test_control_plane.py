"""Both ends of the control plane over a real socket: store, loops and dispatcher here, the worker's session there; only the
containers live in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from common.errors import NotFound
from common.model import (
    Cluster,
    ContainerSpec,
    EndpointSpec,
    Network,
    NetworkSpec,
    Node,
    PortConfig,
    Secret,
    SecretSpec,
    Service,
    ServiceMode,
    ServiceSpec,
    Task,
    TaskSpec,
    TaskState,
)
from common.model.service import Replicated, SecretReference, TaskRestartPolicy
from common.settings import Settings
from manager.dispatcher import Dispatcher
from manager.driver import Driver
from manager.loops.all import all_loops
from manager.store.base import Delete, Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from tests.harness.tasks import FakeHost, FixedMembership
from tests.harness.wait import eventually
from worker.session.base import Phase
from worker.session.client import Session

replace = msgspec.structs.replace


class Networks:
    """A ClusterNetworks that only remembers."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.endpoints: list[Any] = []

    def guests(self) -> list[str]:
        return []

    async def ensure(self, network: Any) -> None:
        self.known.add(network.id)

    async def forget_idle(self, needed: Any) -> None:
        self.known &= needed()

    async def reach(self, peers: list[Any]) -> None: ...

    async def program(self, endpoints: list[Any]) -> None:
        self.endpoints = endpoints


class Plane:
    """A manager and a worker in one process."""

    def __init__(self, folder: Path, store: StateStore) -> None:
        self.settings = Settings(root=folder / "root", state=folder)
        self.store = store
        self.host = FakeHost()
        self.networks = Networks()

    @asynccontextmanager
    async def manager(self) -> AsyncIterator[Dispatcher]:
        dispatcher = Dispatcher(self.store)
        app = web.Application()
        app.add_routes(dispatcher.routes())
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(self.settings.manager_socket)).start()
        running = [asyncio.create_task(dispatcher.run()), asyncio.create_task(Driver(self.store, all_loops()).run())]
        try:
            yield dispatcher
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await runner.cleanup()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        engine: Any = SimpleNamespace(settings=self.settings, networks=self.networks)
        membership = FixedMembership("node1", self.settings.manager_socket)
        running = asyncio.create_task(Session(engine, membership, self.host).run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def change(self, id: str, change: Callable[[Service], Service]) -> None:
        service = self.store.view().get(Service, id)
        assert service is not None
        await self.store.commit([Put(change(service))])

    async def remove(self, id: str) -> None:
        service = self.store.view().get(Service, id)
        assert service is not None
        await self.store.commit([Delete(service)])

    def tasks(self, state: TaskState = TaskState.RUNNING) -> list[Task]:
        return [task for task in self.store.view().all(Task) if task.status.state is state]

    def live(self) -> list[str]:
        return [id for id, container in self.host.containers.items() if container.phase is Phase.RUNNING]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with open_store(MemoryLog()) as store:
        ingress = Network(id="ingress", spec=NetworkSpec(name="ingress", driver="overlay", scope="swarm", ingress=True))
        await store.commit([Put(Cluster(id="cluster")), Put(Node(id="node1")), Put(ingress)])
        yield Plane(tmp_path, store)


def service(replicas: int, **spec: Any) -> Service:
    template = TaskSpec(
        container_spec=ContainerSpec(image="busybox", **spec), restart_policy=TaskRestartPolicy(delay=0)
    )
    mode = ServiceMode(replicated=Replicated(replicas=replicas))
    return Service(id="web", spec=ServiceSpec(name="web", task_template=template, mode=mode))


def scaled(replicas: int) -> Callable[[Service], Service]:
    mode = ServiceMode(replicated=Replicated(replicas=replicas))
    return lambda service: replace(service, spec=replace(service.spec, mode=mode))


async def test_a_service_runs_scales_and_goes(plane: Plane) -> None:
    async with plane.manager(), plane.worker():
        await plane.store.commit([Put(service(5))])
        await eventually(lambda: len(plane.tasks()) == len(plane.live()) == 5)
        await plane.change("web", scaled(2))
        await eventually(lambda: len(plane.host.containers) == len(plane.tasks()) == 2)
        await plane.remove("web")
        await eventually(lambda: not plane.host.containers)


async def test_a_failed_task_is_replaced(plane: Plane) -> None:
    async with plane.manager(), plane.worker():
        await plane.store.commit([Put(service(2))])
        await eventually(lambda: len(plane.live()) == 2)
        victim = plane.live()[0]
        plane.host.change(victim, phase=Phase.EXITED, exit_code=9)
        await eventually(lambda: len(plane.live()) == 2 and victim not in plane.live())
        task = plane.store.view().get(Task, victim)
        assert task is not None
        assert (task.status.state, task.status.err) == (TaskState.FAILED, "task: non-zero exit (9)")


async def test_a_broken_image_is_rejected_with_its_reason(plane: Plane) -> None:
    async with plane.manager(), plane.worker():
        broken = service(1)
        plane.host.always_broken = NotFound("No such image: busybox")
        await plane.store.commit([Put(broken)])
        await eventually(lambda: bool(plane.tasks(TaskState.REJECTED)))
        assert plane.tasks(TaskState.REJECTED)[0].status.err == "No such image: busybox"


async def test_secrets_come_with_the_tasks_that_need_them(plane: Plane) -> None:
    reference = SecretReference(secret_id="s", secret_name="password")
    async with plane.manager(), plane.worker():
        await plane.store.commit(
            [Put(Secret(id="s", spec=SecretSpec(name="password", data=b"x"))), Put(service(1, secrets=[reference]))]
        )
        await eventually(lambda: len(plane.tasks()) == 1)
        assert [secret.spec.data for secret in plane.host.secrets.values()] == [b"x"]


async def test_the_services_labels_come_with_its_tasks(plane: Plane) -> None:
    labelled = service(1)
    labelled = replace(labelled, spec=replace(labelled.spec, labels={"tier": "front"}))
    async with plane.manager(), plane.worker():
        await plane.store.commit([Put(labelled)])
        await eventually(lambda: len(plane.tasks()) == 1)
        assert [task.service_annotations for task in plane.host.tasks.values()] == [{"tier": "front"}]


async def test_a_worker_that_restarts_keeps_its_tasks(plane: Plane) -> None:
    async with plane.manager():
        async with plane.worker():
            await plane.store.commit([Put(service(3))])
            await eventually(lambda: len(plane.tasks()) == 3)
        calls = list(plane.host.calls)
        async with plane.worker():
            await plane.change("web", scaled(4))
            await eventually(lambda: len(plane.tasks()) == 4)
    assert [what for what, _ in plane.host.calls[len(calls) :]] == ["prepare", "start"]


async def test_what_happened_without_a_manager_is_told_to_the_next(plane: Plane) -> None:
    async with plane.worker():
        async with plane.manager():
            await plane.store.commit([Put(service(2))])
            await eventually(lambda: len(plane.tasks()) == 2)
        victim = plane.live()[0]
        plane.host.change(victim, phase=Phase.EXITED, exit_code=1)
        async with plane.manager():
            await eventually(lambda: len(plane.live()) == len(plane.tasks()) == 2 and victim not in plane.live())


async def test_a_task_that_is_gone_by_force_leaves_no_container(plane: Plane) -> None:
    async with plane.manager(), plane.worker():
        await plane.store.commit([Put(service(1))])
        await eventually(lambda: len(plane.tasks()) == 1)
        view = plane.store.view()
        web = view.get(Service, "web")
        assert web is not None
        await plane.store.commit([Delete(web), *(Delete(task) for task in view.all(Task))])
        await eventually(lambda: not plane.host.containers)


async def test_published_ports_reach_the_worker(plane: Plane) -> None:
    port = PortConfig(target_port=80, published_port=8080)
    published = service(2)
    published = replace(published, spec=replace(published.spec, endpoint_spec=EndpointSpec(ports=[port])))
    async with plane.manager(), plane.worker():
        await plane.store.commit([Put(published)])
        await eventually(lambda: len(plane.tasks()) == 2)

        def programmed() -> bool:
            return [len([b for b in e.backends if b.ready]) for e in plane.networks.endpoints if e.ports == [port]] == [
                2
            ]

        await eventually(programmed)
