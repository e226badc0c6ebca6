"""An image store of its own in a folder of its own, for tests that need no daemon."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from common.settings import Settings
from worker.engine.events import EventBus
from worker.images.base import Image
from worker.images.loading import Loaded
from worker.images.overlay import mounts_below
from worker.images.store import LocalImages
from worker.images.syscalls import MNT_DETACH, unmount

_FAST = Path("/dev/shm")


@asynccontextmanager
async def image_store(root: Path | None = None) -> AsyncIterator[LocalImages]:
    """A started store; with no `root` given its folder and mounts go away afterwards."""
    folder = root or Path(tempfile.mkdtemp(prefix="shoal-store-", dir=_FAST))
    store = LocalImages(Settings(root=folder), EventBus())
    try:
        await store.start_up()
        yield store
    finally:
        await store.close()
        if root is None:
            sweep(folder)


def sweep(folder: Path) -> None:
    for point in mounts_below(folder):
        unmount(str(point), MNT_DETACH)
    shutil.rmtree(folder)


async def body(data: bytes, chunk: int = 1 << 18) -> AsyncIterator[bytes]:
    """An upload's bytes."""
    for start in range(0, len(data), chunk):
        yield data[start : start + chunk]


async def load(store: LocalImages, data: bytes) -> list[Image]:
    """The images that an archive brought."""
    return [store.resolve(step.id) async for step in store.load(body(data)) if isinstance(step, Loaded)]


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def tree(folder: Path) -> set[str]:
    """Relative paths of everything below `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def leftovers(store: LocalImages) -> Iterable[Path]:
    """What an operation that failed or ended must not leave behind."""
    layout = store.parts.layout
    return [*layout.layers.glob("tmp-*"), *layout.uploads.iterdir(), *layout.rootfs.glob("tmp-*")]
