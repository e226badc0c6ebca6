"""Mounting stacks of layers with overlayfs, and finding out what is mounted.

mount(2) takes one page of options. 500 layers fit because the mounting thread has a working directory of its own, the
folder of short links, and names everything relative to it: no kernel newer than 4.19 is needed, and no character of a
path needs escaping.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.errors import InvalidArgument
from worker.images.syscalls import CLONE_FS, MNT_DETACH, UMOUNT_NOFOLLOW, mount, unmount, unshare

MAX_LAYERS = 500  # overlayfs's own limit, which the init layer counts to
_OPTIONS = "index=off,metacopy=off,redirect_dir=off"  # an upper folder means the same to every other reader of it


class Mounter:
    """`links`: the folder of short links, named by what `mount` gets as layers."""

    def __init__(self, links: Path) -> None:
        self._links = links
        self._thread = ThreadPoolExecutor(1, "overlay-mounts", initializer=self._enter)

    def _enter(self) -> None:
        unshare(CLONE_FS)
        os.chdir(self._links)

    async def mount(self, folder: Path, layers: Sequence[str]) -> None:
        """Mount upper/ over `layers` (short names, highest first) at merged/, all in `folder`."""
        if len(layers) > MAX_LAYERS:
            raise InvalidArgument(f"the image has {len(layers) - 1} layers; at most {MAX_LAYERS - 1} can be stacked")
        near = os.path.relpath(folder, self._links)
        options = f"lowerdir={':'.join(layers)},upperdir={near}/upper,workdir={near}/work,{_OPTIONS}"
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._thread, mount, "overlay", f"{near}/merged", "overlay", 0, options)
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            # The thread goes on: what it mounts would be nobody's.
            await asyncio.wait([done])
            if not done.exception():
                await self.unmount(folder)
            raise

    async def unmount(self, folder: Path) -> None:
        await asyncio.to_thread(unmount, str(folder / "merged"), MNT_DETACH | UMOUNT_NOFOLLOW)

    def close(self) -> None:
        self._thread.shutdown()


def mounts_below(folder: Path) -> list[Path]:
    """Mount points below `folder`, the last mounted first, from the kernel's own table."""
    prefix = f"{folder.resolve()}/"
    points = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split(" ", 5)[4])
            if point.startswith(prefix):
                points.append(Path(point))
    return points[::-1]
