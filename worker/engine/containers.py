"""The containers of one node: what the API, the session and the other parts of the worker call.

Free of HTTP. Each method's work is a module's of its own; this class only puts them together.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.settings import Settings
from worker.engine.background import Background
from worker.engine.container import Container
from worker.engine.disk import Disk
from worker.engine.events import EventBus
from worker.engine.index import Index
from worker.images.base import ImageStore
from worker.network.base import Networks
from worker.runtime.base import Runtime
from worker.volumes.base import Volumes


class Containers:
    """`start_up()` recovers, `run()` does background work until cancelled, `close()` touches no container."""

    def __init__(
        self,
        settings: Settings,
        events: EventBus,
        runtime: Runtime,
        images: ImageStore,
        volumes: Volumes,
        networks: Networks,
    ) -> None:
        self._index = Index()
        self._disk = Disk(settings)
        self._background = Background()

    async def start_up(self) -> None:
        """Recover: look at what is really there, undo what is half done, take back what runs."""
        self._disk.make_folders()

    async def run(self) -> None:
        await self._background.run()

    async def close(self) -> None:
        self._background.close()

    def get(self, ref: str) -> Container:
        """By name, id or a unique beginning of an id. Raises NotFound, InvalidArgument."""
        return self._index.get(ref)

    def list(self) -> Sequence[Container]:
        """All containers, newest first."""
        return sorted(self._index, key=lambda c: c.record.created, reverse=True)
