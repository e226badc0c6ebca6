"""Mounts of a start in OCI's words. Opens volumes' sub-paths so that no symbolic link inside a volume leads out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from common.errors import InvalidArgument
from common.model.container import HostConfig
from worker.engine import bundlemounts
from worker.engine.container import Container
from worker.engine.propagation import check_propagation
from worker.engine.record import MountPoint
from worker.images.syscalls import open_in_root
from worker.runtime.init import CONTAINER_PATH, init_path
from worker.volumes.base import Volumes

_STRICT = ["nosuid", "noexec", "nodev"]


class Plan:
    """The mounts of one start. Keep it open until the runtime has created the container: it holds sub-paths mounted."""

    def __init__(self, container: Container, volumes: Volumes) -> None:
        self._container = container
        self._volumes = volumes

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        bundlemounts.unmount_subpaths(self._container.bundle)

    async def mounts(self, shm: Path | None, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """System mounts, then `files` and the container's own, parents first; the container's own win.

        `shm` is a folder of the host in place of a new /dev/shm.
        """
        own = [await self._mount(point) for point in (*self._container.record.mounts, *self._container.record.files)]
        taken = {mount["destination"] for mount in own}
        system = [mount for mount in system_mounts(self._container.host, shm) if mount["destination"] not in taken]
        own += [mount for mount in files if mount["destination"] not in taken]
        if self._container.host.init:
            own.append(_bind(str(init_path()), CONTAINER_PATH, ["ro"]))
        return system + sorted(own, key=lambda mount: str(mount["destination"]).count("/"))

    async def _mount(self, point: MountPoint) -> dict[str, Any]:
        if point.type == "tmpfs":
            return {
                "destination": point.destination,
                "type": "tmpfs",
                "source": "tmpfs",
                "options": list(point.options),
            }
        if point.type == "bind":
            source = _bind_source(point)
        else:
            folder = await self._volumes.acquire(point.name, self._container.id)
            source = self._inside(folder, point) if point.subpath else str(folder)
        return _bind(source, point.destination, _bind_options(point), recursive=point.recursive)

    def _inside(self, folder: Path, point: MountPoint) -> str:
        subpath, number = point.subpath, self._container.record.mounts.index(point)
        root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = open_in_root(root, subpath, os.O_PATH)
        except OSError as error:
            raise InvalidArgument(f"cannot access path {subpath!r} in the volume: {error.strerror}") from None
        finally:
            os.close(root)
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode) and not stat.S_ISREG(os.fstat(fd).st_mode):
                raise InvalidArgument(f"path {subpath!r} in the volume is neither a folder nor a file")
            return str(bundlemounts.mount_opened(self._container.bundle, number, fd))
        finally:
            os.close(fd)


def _bind_source(point: MountPoint) -> str:
    path = Path(point.source)
    if not path.exists():
        if not point.create_source:
            raise InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {path}')
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    check_propagation(point)
    return point.source


def _bind_options(point: MountPoint) -> list[str]:
    propagation = point.propagation or "rprivate"
    if point.rw:
        return [propagation, "rw"]
    recursive = point.recursive and point.recursive_read_only != "off" and propagation == "rprivate"
    # On a file "rro" says nothing more than "ro", and crun refuses it.
    folder = point.type == "bind" and os.path.isdir(point.source)
    return [propagation, "ro", *(["rro"] if recursive and folder else [])]


def _bind(source: str, destination: str, options: list[str], *, recursive: bool = True) -> dict[str, Any]:
    kind = "rbind" if recursive else "bind"
    return {"destination": destination, "type": "bind", "source": source, "options": [kind, *options]}


def system_mounts(host: HostConfig, shm: Path | None) -> list[dict[str, Any]]:
    """What every container has, as Docker mounts it."""
    access = "rw" if host.privileged else "ro"
    mounts = [
        _fs("/proc", "proc", _STRICT),
        _fs("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _fs("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _fs("/sys", "sysfs", [*_STRICT, access]),
        _fs("/sys/fs/cgroup", "cgroup", [*_STRICT, "relatime", access]),
    ]
    return mounts + _ipc_mounts(host, shm)


def _ipc_mounts(host: HostConfig, shm: Path | None) -> list[dict[str, Any]]:
    """The message queues shown are those of the IPC namespace, whosever it is."""
    queue = _fs("/dev/mqueue", "mqueue", _STRICT)
    if host.ipc_mode == "none":
        return [queue]
    if host.ipc_mode == "host":
        return [queue, _bind("/dev/shm", "/dev/shm", ["rprivate"])]
    if shm is not None:
        return [queue, _bind(str(shm), "/dev/shm", ["rprivate"])]
    return [queue, _fs("/dev/shm", "tmpfs", [*_STRICT, "mode=1777", f"size={host.shm_size}"])]


def _fs(destination: str, kind: str, options: list[str]) -> dict[str, Any]:
    source = "shm" if destination == "/dev/shm" else kind
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}
