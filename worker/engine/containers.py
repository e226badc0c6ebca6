"""The containers of one node: what the API, the session and the other parts of the worker call.

Free of HTTP. Each method's work is a module's of its own; this class only puts them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.errors import InvalidArgument
from common.filters import Filters
from common.model.container import ContainerConfig, EndpointSettings, HostConfig, NetworkingConfig
from common.model.shared import Mount
from common.settings import Settings
from worker.engine import attaching, creation, listing, pruning, removal, running, stopping, update
from worker.engine.background import Background
from worker.engine.container import Container
from worker.engine.disk import Disk
from worker.engine.events import EventBus
from worker.engine.index import Index
from worker.engine.inspect import inspect
from worker.engine.parts import Parts
from worker.engine.record import State
from worker.engine.recovery import recover
from worker.engine.update import UpdateRequest
from worker.images.base import ImageStore
from worker.network.base import Networks
from worker.runtime.base import LogReader
from worker.volumes.base import Volumes

if TYPE_CHECKING:
    from worker.runtime.conmon import ConmonRuntime


class Containers:
    """`start_up()` recovers, `run()` does background work until cancelled, `close()` touches no container."""

    def __init__(
        self,
        settings: Settings,
        events: EventBus,
        runtime: ConmonRuntime,
        images: ImageStore,
        volumes: Volumes,
        networks: Networks,
    ) -> None:
        self._parts = Parts(settings, events, runtime, images, volumes, networks, Index(), Disk(settings), Background())

    async def start_up(self) -> None:
        """Look at what is really there, undo what is half done, take back what runs."""
        self._parts.disk.make_folders()
        await recover(self._parts)

    async def run(self) -> None:
        await self._parts.background.run()

    async def close(self) -> None:
        self._parts.background.close()

    def get(self, ref: str) -> Container:
        """By name, id or a unique beginning of an id. Raises NotFound, InvalidArgument."""
        return self._parts.index.get(ref)

    def list(self) -> Sequence[Container]:
        """All containers, newest first."""
        return sorted(self._parts.index, key=lambda c: c.record.created, reverse=True)

    async def create(
        self,
        name: str,
        config: ContainerConfig,
        host: HostConfig,
        networking: NetworkingConfig,
        files: Sequence[Mount] = (),
    ) -> Container:
        """`files` are mounted beside the config's mounts, and shown nowhere: a task's secrets and configs.

        Raises InvalidArgument, Unsupported, NotFound (image), Conflict (name).
        """
        return (await creation.create(self._parts, name, config, host, networking, files))[0]

    async def create_with_warnings(
        self, name: str, config: ContainerConfig, host: HostConfig, networking: NetworkingConfig
    ) -> tuple[Container, Sequence[str]]:
        """The same, with what the user should know."""
        return await creation.create(self._parts, name, config, host, networking)

    async def start(self, ref: str) -> bool:
        """False where it runs already."""
        return await running.start(self._parts, self.get(ref))

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> bool:
        """False where it does not run. `timeout` in seconds before SIGKILL, negative for never, None for its own."""
        return await stopping.stop(self._parts, self.get(ref), timeout, signal)

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        container = self.get(ref)
        await stopping.stop(self._parts, container, timeout, signal)
        await running.start(self._parts, container)
        self._parts.publish(container, "restart")

    async def kill(self, ref: str, signal: str = "") -> None:
        await stopping.kill(self._parts, self.get(ref), signal)

    async def pause(self, ref: str) -> None:
        await stopping.pause(self._parts, self.get(ref))

    async def unpause(self, ref: str) -> None:
        await stopping.unpause(self._parts, self.get(ref))

    def rename(self, ref: str, name: str) -> None:
        creation.rename(self._parts, self.get(ref), name)

    async def update(self, ref: str, request: UpdateRequest) -> Sequence[str]:
        """Warnings."""
        return await update.update(self._parts, self.get(ref), request)

    def wait(self, ref: str, condition: str = "not-running") -> asyncio.Future[State]:
        """The container's state once the condition holds: not-running (at once where it does), next-exit or removed."""
        container = self.get(ref)
        if condition == "removed":
            return container.removed.future()
        if condition not in ("", "not-running", "next-exit"):
            raise InvalidArgument(f"invalid condition: {condition!r}: use not-running, next-exit or removed")
        future = container.ended.future()
        if condition != "next-exit" and not container.active:
            future.set_result(container.state)
        return future

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        await removal.remove(self._parts, self.get(ref), force=force, volumes=volumes)

    async def prune(self, filters: Filters) -> tuple[Sequence[str], int]:
        """Remove stopped containers: their ids and the bytes that became free."""
        return await pruning.prune(self._parts, self.list(), filters)

    async def connect(self, ref: str, network: str, settings: EndpointSettings) -> None:
        await attaching.connect(self._parts, self.get(ref), network, settings)

    async def disconnect(self, ref: str, network: str, *, force: bool = False) -> None:
        await attaching.disconnect(self._parts, self.get(ref), network, force=force)

    def logs(self, ref: str) -> LogReader:
        container = self.get(ref)
        return self._parts.runtime.log(container.id, container.log_path)

    async def inspect(self, ref: str, *, size: bool = False) -> dict[str, Any]:
        """As GET /containers/{id}/json answers."""
        return await inspect(self._parts, self.get(ref), size=size)

    async def summaries(
        self, filters: Filters, *, all: bool = False, limit: int = 0, size: bool = False
    ) -> Sequence[dict[str, Any]]:
        """As GET /containers/json answers."""
        return await listing.summaries(self._parts, self.list(), filters, all=all, limit=limit, size=size)

    async def disk_usage(self) -> Sequence[dict[str, Any]]:
        """The containers' part of GET /system/df."""
        return await self.summaries(Filters(), all=True, size=True)
