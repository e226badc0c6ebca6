"""Containers made by the runtime alone, without engine, images and network: bundles over a busybox root file system."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from common.settings import Settings
from tests.harness.images import busybox_layer
from worker.runtime.base import ExecSpec, Launch, Streams
from worker.runtime.conmon import ConmonRuntime

_FAST = Path("/dev/shm")
_NAMESPACES = ("pid", "ipc", "uts", "mount", "network", "cgroup")
_MOUNTS = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=64k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
)


class Workshop:
    """A runtime with folders of its own, and the containers that were made in it."""

    def __init__(self, folder: Path, runtime: str, **settings: Any) -> None:
        self.folder = folder
        self.rootfs = folder / "rootfs"
        self.settings = Settings(root=folder / "root", state=folder / "state", runtime=runtime, **settings)
        self.runtime = ConmonRuntime(self.settings)
        self._made: list[str] = []

    def bundle(self, id: str) -> Path:
        return self.folder / "bundles" / id

    def log(self, id: str) -> Path:
        return self.bundle(id) / "log"

    def config(self, id: str, args: Sequence[str], tty: bool = False) -> dict[str, Any]:
        """A small config.json; tests change what they are about."""
        return {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": tty,
                "user": {"uid": 0, "gid": 0},
                "args": list(args),
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "root": {"path": str(self.rootfs)},
            "mounts": list(_MOUNTS),
            "linux": {
                "namespaces": [{"type": kind} for kind in _NAMESPACES],
                "resources": {},
                "cgroupsPath": f"{self.settings.cgroup_root}/{id}",
            },
        }

    async def create(
        self,
        id: str,
        *args: str,
        tty: bool = False,
        change: Callable[[dict[str, Any]], object] = lambda _: None,
        **launch: Any,
    ) -> int:
        """Create a container that runs `args`; `change` edits its config."""
        bundle = self.bundle(id)
        bundle.mkdir(parents=True, exist_ok=True)
        config = self.config(id, args, tty)
        change(config)
        (bundle / "config.json").write_text(json.dumps(config))
        self._made.append(id)
        return await self.runtime.create(Launch(id=id, bundle=bundle, tty=tty, log=self.log(id), **launch))

    async def run(self, id: str, *args: str, **options: Any) -> int:
        """Create and start."""
        pid = await self.create(id, *args, **options)
        await self.runtime.start(id)
        return pid

    def exec_spec(self, id: str, *args: str, tty: bool = False, stdin: bool = False) -> ExecSpec:
        process = self.config("", args, tty)["process"]
        return ExecSpec(id=id, process=process, tty=tty, stdin=stdin)

    async def lines(self, id: str, **options: Any) -> list[bytes]:
        return [line.data async for line in self.runtime.log(id, self.log(id)).read(**options)]

    async def remove_all(self) -> None:
        for id in self._made:
            await self.runtime.recover(id, self.bundle(id))
            await self.runtime.delete(id, force=True)
        await self.runtime.close()


@asynccontextmanager
async def workshop(runtime: str = "crun", **settings: Any) -> AsyncIterator[Workshop]:
    """A started runtime on tmpfs; all of its containers are gone afterwards."""
    folder = _FAST / f"shoal-runtime-{os.urandom(3).hex()}"
    folder.mkdir()
    (folder / "state").mkdir()
    made = Workshop(folder, runtime, **settings)
    try:
        with tarfile.open(fileobj=io.BytesIO(busybox_layer())) as tar:
            tar.extractall(made.rootfs, filter="tar")
        await made.runtime.start_up()
        try:
            yield made
        finally:
            await made.remove_all()
    finally:
        shutil.rmtree(folder)


async def read_all(streams: Streams) -> dict[int, bytes]:
    """Everything until the end, by stream."""
    got = {1: b"", 2: b""}
    while (piece := await streams.read()) is not None:
        got[piece[0]] += piece[1]
    return got


@cache
def runtimes() -> list[str]:
    """The OCI runtimes of this machine."""
    return [name for name in ("crun", "runc") if shutil.which(name)]
