"""The image store of one node: the real implementation of worker/images/base.py's boundary.

It puts the modules around it together and adds nothing of its own but events. Pulling and pushing are not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from common.model.container import ContainerConfig
from common.reference import Reference, parse_reference
from common.settings import Settings
from worker.engine.events import EventBus
from worker.images import creation, differences
from worker.images.base import FileChange, Image
from worker.images.blobs import Blobs
from worker.images.catalog import Catalog, Stored
from worker.images.garbage import Garbage
from worker.images.initlayer import check_storage, make_init_layer
from worker.images.jobs import stream_job
from worker.images.layers import Layers
from worker.images.layout import Layout
from worker.images.loading import Loaded, Loader, Progress
from worker.images.parts import Parts
from worker.images.pins import Pins
from worker.images.removal import Removal
from worker.images.rootfs import Roots
from worker.images.views import Views


class LocalImages:
    def __init__(self, settings: Settings, events: EventBus) -> None:
        layout, pins = Layout(settings.root), Pins()
        layers = Layers(layout)
        catalog, roots = Catalog(layout, layers), Roots(layout, layers)
        garbage = Garbage(layout, catalog, layers, roots, pins)
        self.parts = Parts(layout, events, pins, Blobs(layout), layers, catalog, roots, garbage)
        self.views = Views(self.parts)
        self.removal = Removal(self.parts, self.event)

    async def start_up(self) -> None:
        """Find what is there and clean up what a crash left. Raises ShoalError where the storage folder cannot work."""
        parts = self.parts
        parts.layout.make()
        make_init_layer(parts.layout)
        await check_storage(parts.layout)
        parts.layers.start_up()
        parts.catalog.start_up()
        await parts.roots.start_up()
        await parts.garbage.clean_start()

    async def close(self) -> None:
        """Containers keep their mounts."""
        self.parts.roots.close()

    def count(self) -> int:
        return sum(1 for _ in self.parts.catalog)

    async def disk_usage(self) -> dict[str, Any]:
        return self.views.disk_usage()

    def find(self, reference: str) -> Stored:
        """As resolve(), with all that the store knows."""
        return self.parts.catalog.find(reference)

    def resolve(self, reference: str) -> Image:
        return self.parts.catalog.image(self.find(reference))

    async def prepare(self, container_id: str, image: Image | None) -> Path:
        return await self.parts.roots.prepare(container_id, self.find(image.id) if image else None)

    async def mount(self, container_id: str) -> Path:
        return await self.parts.roots.mount(container_id)

    async def unmount(self, container_id: str) -> None:
        await self.parts.roots.unmount(container_id)

    async def release(self, container_id: str) -> None:
        """Layers that only this container still needed go with it."""
        images = {record.image for record in self.parts.roots.records() if record.container == container_id}
        await self.parts.roots.release(container_id)
        if not all(image in self.parts.catalog for image in images):
            await self.parts.garbage.collect()

    async def changes(self, container_id: str) -> Sequence[FileChange]:
        roots = self.parts.roots
        return await asyncio.to_thread(
            differences.changes, roots.upper(container_id), roots.lower_folders(container_id)
        )

    async def usage(self, container_id: str) -> tuple[int, int]:
        record = self.parts.roots.record(container_id)
        own = await asyncio.to_thread(differences.disk_usage, self.parts.roots.upper(container_id))
        return own, own + sum(self.parts.layers.get(chain).size for chain in record.chains)

    async def commit(
        self, container_id: str, config: ContainerConfig, *, tag: str = "", comment: str = "", author: str = ""
    ) -> Image:
        reference = parse_reference(tag).tagged() if tag else None
        with self.parts.pins.hold() as hold:
            stored = await creation.commit_container(
                self.parts, hold, container_id, config, comment=comment, author=author
            )
            if reference:
                self.tag(stored, reference)
        return self.parts.catalog.image(stored)

    async def export(self, container_id: str) -> AsyncGenerator[bytes, None]:
        async with (
            self.parts.roots.visit(container_id) as root,
            stream_job("export", root=str(root)) as (_, chunks),
        ):
            async for chunk in chunks:
                yield chunk

    def in_use(self) -> dict[str, Any]:
        """Image id → the containers that stand on it."""
        users: dict[str, Any] = {}
        for record in self.parts.roots.records():
            users.setdefault(record.image, []).append(record.container)
        return users

    async def load(self, body: AsyncIterator[bytes]) -> AsyncGenerator[Progress | Loaded, None]:
        """Take in an image archive, telling each step; a name that another image had moves to the loaded one."""
        with self.parts.pins.hold() as hold:
            async with aclosing(Loader(self.parts).load(hold, body)) as steps:
                async for step in steps:
                    if isinstance(step, Loaded):
                        self._name_loaded(step)
                    yield step

    def _name_loaded(self, loaded: Loaded) -> None:
        for reference in loaded.names:
            self.tag(self.parts.catalog[loaded.id], reference)
        self.event("load", loaded.id, loaded.names[0].familiar if loaded.names else loaded.id)

    async def import_tar(
        self, body: AsyncIterator[bytes], *, reference: Reference | None, changes: Sequence[str] = (), message: str = ""
    ) -> Image:
        with self.parts.pins.hold() as hold:
            stored = await creation.import_tar(self.parts, hold, body, changes=changes, message=message)
            if reference:
                self.tag(stored, reference)
        self.event("import", stored.id, reference.familiar if reference else stored.id)
        return self.parts.catalog.image(stored)

    def tag(self, stored: Stored, reference: Reference) -> None:
        self.parts.catalog.tag(reference, stored.id)
        self.event("tag", stored.id, reference.familiar)

    def event(self, action: str, image: str, name: str) -> None:
        labels = self.parts.catalog[image].config.config.labels if image in self.parts.catalog else {}
        self.parts.events.publish("image", action, image, {"name": name, **labels})
