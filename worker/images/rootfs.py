"""The containers' root file systems: a writable layer over an image's, mounted while somebody needs it.

All state lies in the container's folder and in the kernel's mount table, so a new daemon finds both.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from common.durable import sync_folder, write_file
from common.errors import NotFound
from worker.images.catalog import Stored
from worker.images.layers import Layers
from worker.images.layout import Layout, disk_errors, remove_tree
from worker.images.overlay import Mounter, mounts_below
from worker.locks import Locks

INIT_LINK = "init"


class RootRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a writable layer stands on: `chains` lowest first, `image` an id or empty."""

    container: str
    image: str = ""
    chains: list[str] = []


class Roots:
    def __init__(self, layout: Layout, layers: Layers) -> None:
        self._layout = layout
        self._layers = layers
        self._mounter = Mounter(layout.links)
        self._records: dict[str, RootRecord] = {}
        self._mounted: set[str] = set()  # by mount(): a container that runs, or a daemon before us
        self._visitors: Counter[str] = Counter()
        self._locks = Locks()

    async def start_up(self) -> None:
        """Find writable layers and mounts; undo what a crash left half done."""
        for folder in self._layout.rootfs.iterdir():
            record = folder / "rootfs.json"
            if record.exists() and not folder.name.startswith("tmp-"):
                self._records[folder.name] = msgspec.json.decode(record.read_bytes(), type=RootRecord)
        for point in mounts_below(self._layout.rootfs):
            if point.parent.name in self._records:
                self._mounted.add(point.parent.name)
            else:
                await self._mounter.unmount(point.parent)
        for folder in self._layout.rootfs.iterdir():
            if folder.name not in self._records:
                await remove_tree(folder)

    def close(self) -> None:
        self._mounter.close()

    def records(self) -> Iterator[RootRecord]:
        return iter(tuple(self._records.values()))

    def running(self, container: str) -> bool:
        return container in self._mounted

    def record(self, container: str) -> RootRecord:
        try:
            return self._records[container]
        except KeyError:
            raise NotFound(f"No root file system of container {container}", ("container", container)) from None

    def upper(self, container: str) -> Path:
        return self._folder(container) / "upper"

    async def prepare(self, container: str, stored: Stored | None) -> Path:
        """Make the writable layer; idempotent. The returned folder is where mount() will show the root."""
        if container not in self._records:
            record = RootRecord(
                container=container, image=stored.id if stored else "", chains=stored.chains if stored else []
            )
            self._records[container] = record  # before the folder: from here on its layers are in use
            try:
                with disk_errors("the container's files"):
                    await asyncio.to_thread(self._make, record)
            except BaseException:
                del self._records[container]
                raise
        return self._folder(container) / "merged"

    def _make(self, record: RootRecord) -> None:
        folder = self._folder(record.container)
        aside = folder.with_name(f"tmp-{record.container}")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o711)
        for name in ("upper", "work", "merged"):
            (aside / name).mkdir(mode=0o755)
        if record.chains:
            top = os.stat(self._layers.folder(record.chains[-1]))
            os.chown(aside / "upper", top.st_uid, top.st_gid)
            os.chmod(aside / "upper", stat.S_IMODE(top.st_mode))
        write_file(aside / "rootfs.json", msgspec.json.encode(record))
        os.rename(aside, folder)
        sync_folder(folder.parent)

    async def mount(self, container: str) -> Path:
        record = self.record(container)
        async with self._locks[container]:
            if not self._is_mounted(container):
                await self._mount(record)
            self._mounted.add(container)
        return self._folder(container) / "merged"

    async def unmount(self, container: str) -> None:
        async with self._locks[container]:
            if container in self._mounted:
                if not self._visitors[container]:
                    await self._mounter.unmount(self._folder(container))
                self._mounted.discard(container)

    @asynccontextmanager
    async def visit(self, container: str) -> AsyncIterator[Path]:
        """The mounted root for as long as the block lasts, whether the container runs or not."""
        record = self.record(container)
        async with self._locks[container]:
            if not self._is_mounted(container):
                await self._mount(record)
            self._visitors[container] += 1
        try:
            yield self._folder(container) / "merged"
        finally:
            async with self._locks[container]:
                self._visitors[container] -= 1
                if not self._is_mounted(container):
                    await self._mounter.unmount(self._folder(container))

    async def release(self, container: str) -> None:
        """Remove the writable layer with its mount. Idempotent."""
        await self.unmount(container)
        if self._records.pop(container, None) is None:
            return
        folder = self._folder(container)
        grave = folder.with_name(f"tmp-{container}-gone")
        os.rename(folder, grave)
        await remove_tree(grave)

    def lower_folders(self, container: str) -> Sequence[Path]:
        """The folders below the writable one, highest first."""
        chains = reversed(self.record(container).chains)
        return [*(self._layers.folder(chain) for chain in chains), self._layout.links / INIT_LINK]

    async def _mount(self, record: RootRecord) -> None:
        links = [self._layers.get(chain).link for chain in reversed(record.chains)]
        await self._mounter.mount(self._folder(record.container), [*links, INIT_LINK])

    def _is_mounted(self, container: str) -> bool:
        return container in self._mounted or self._visitors[container] > 0

    def _folder(self, container: str) -> Path:
        return self._layout.rootfs / container
