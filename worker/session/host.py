"""The real TaskHost: tasks' containers through the engine, found again by their labels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import msgspec

from common.errors import NotFound, ShoalError
from common.model import PortConfig, Task
from common.reference import parse_reference
from common.wire import Assignments
from worker.engine.container import TASK_LABEL, Container
from worker.engine.node import Engine
from worker.runtime.base import LogReader
from worker.session import translate
from worker.session.base import Phase, Seen
from worker.session.description import describe
from worker.session.files import TaskFiles
from worker.session.templates import context, task_name

ACTIONS = ("start", "die", "destroy")  # events after which a container looks different; health's have a suffix


class ContainerHost:
    """Knows each task's container by the label that it carries; `observe()` before anything else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._containers = engine.containers
        self._files = TaskFiles(engine.settings.state / "tasks")
        self._ids: dict[str, str] = {}
        self._observed = 0

    async def observe(self) -> Mapping[str, Seen]:
        self._observed = time.time_ns()
        self._ids = {
            container.labels[TASK_LABEL]: container.id
            for container in self._containers.list()
            if TASK_LABEL in container.labels
        }
        for task_id in self._files.tasks():
            if task_id not in self._ids:
                self._files.remove(task_id)
        return {task_id: self._look(id) for task_id, id in self._ids.items()}

    async def _bring_image(self, task: Task) -> None:
        """Pull the image where it is not here. Raises NotFound with both reasons."""
        image = task.spec.container_spec.image if task.spec and task.spec.container_spec else ""
        try:
            self._engine.images.find(image)
            return
        except NotFound as error:
            missing = error.message
        try:
            await self._engine.distribution.ensure(parse_reference(image).tagged())
        except ShoalError as error:
            raise NotFound(f"{missing}: {error.message}", ("image", image)) from None

    async def prepare(self, task: Task, assignments: Assignments) -> Seen:
        if task.id in self._ids:
            return self._look(self._ids[task.id])
        await self._bring_image(task)
        task = _with_networks(task, assignments)
        for attachment in task.networks_attachments:
            if attachment.network is not None and attachment.network.spec.driver not in ("host", "null"):
                await self._engine.networks.ensure(attachment.network)
        node = describe(self._engine.settings)
        mine = context(task, node)
        files = self._files.write(task, assignments, node)
        try:
            container = await self._containers.create(
                task_name(task),
                translate.container_config(task, mine),
                translate.host_config(task, mine),
                translate.networking(task),
                files,
            )
        except BaseException:
            self._files.remove(task.id)
            raise
        self._ids[task.id] = container.id
        return _seen(container, ())

    async def start(self, task_id: str) -> Seen:
        id = self._id(task_id)
        await self._containers.start(id)
        return self._look(id)

    async def stop(self, task_id: str) -> Seen | None:
        try:
            await self._containers.stop(self._id(task_id))
            return self._look(self._id(task_id))
        except NotFound:
            return None

    async def remove(self, task_id: str) -> None:
        if (id := self._ids.get(task_id)) is not None:
            with suppress(NotFound):
                await self._containers.remove(id, force=True, volumes=True)
            self._ids.pop(task_id, None)
        self._files.remove(task_id)

    async def watch(self) -> AsyncIterator[tuple[str, Seen | None]]:
        """Follows the engine's events; where they come too fast to follow, looks at all containers anew."""
        since = self._observed
        while True:
            async for event in self._engine.events.subscribe(since_nano=since):
                task_id = event.actor.attributes.get(TASK_LABEL, "")
                if task_id and (event.action in ACTIONS or event.action.startswith("health_status")):
                    yield task_id, self._now(task_id, event.actor.id)
            since = time.time_ns()
            for task_id, id in list(self._ids.items()):
                yield task_id, self._now(task_id, id)
            await asyncio.sleep(0)

    def log(self, container_id: str) -> LogReader:
        return self._containers.logs(container_id)

    def _id(self, task_id: str) -> str:
        if task_id not in self._ids:
            raise NotFound(f"task {task_id} has no container", ("task", task_id))
        return self._ids[task_id]

    def _now(self, task_id: str, id: str) -> Seen | None:
        try:
            return self._look(id)
        except NotFound:
            if self._ids.get(task_id) == id:
                del self._ids[task_id]
            return None

    def _look(self, id: str) -> Seen:
        return _seen(self._containers.get(id), self._ports(id))

    def _ports(self, id: str) -> tuple[PortConfig, ...]:
        """Host-mode ports as they are bound; only where the sandbox is there."""
        sandbox = self._engine.networks.sandbox(id)
        if sandbox is None:
            return ()
        return tuple(
            PortConfig(
                protocol=name.partition("/")[2],
                target_port=int(name.partition("/")[0]),
                published_port=int(bindings[0].host_port),
                publish_mode="host",
            )
            for name, bindings in sandbox.ports.items()
            if bindings
        )


def _with_networks(task: Task, assignments: Assignments) -> Task:
    attachments = tuple(
        msgspec.structs.replace(a, network=assignments.networks.get(a.network_id, a.network))
        for a in task.networks_attachments
    )
    return msgspec.structs.replace(task, networks_attachments=attachments)


def _seen(container: Container, ports: tuple[PortConfig, ...]) -> Seen:
    state = container.state
    phase = Phase.CREATED if state.status == "created" else Phase.RUNNING if container.running else Phase.EXITED
    return Seen(
        container_id=container.id,
        phase=phase,
        pid=state.pid,
        exit_code=state.exit_code,
        health=state.health.status if state.health is not None else "",
        oom_killed=state.oom_killed,
        ports=ports,
    )
