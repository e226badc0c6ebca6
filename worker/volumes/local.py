"""The local volume driver: folders below <root>/volumes, or what their options mount there while a container uses them.

    volumes/<name>/volume.json   what was asked for
    volumes/<name>/_data/        the data, or the mount point

Users are kept in memory only: after a restart the engine says who they are (`recover`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from common.durable import sync_folder, write_file
from common.errors import Conflict, InvalidArgument, NotFound, Unsupported
from common.ids import check_name, hex_id
from common.settings import Settings
from worker.engine.events import EventBus
from worker.images.differences import disk_usage
from worker.images.jobs import run_job
from worker.images.layout import disk_errors, remove_tree
from worker.images.overlay import mounts_below
from worker.images.syscalls import MNT_DETACH, UMOUNT_NOFOLLOW, unmount
from worker.locks import Locks
from worker.volumes.base import VolumeInfo
from worker.volumes.options import check_options, mount_volume

ANONYMOUS = "com.docker.volume.anonymous"  # the label by which Docker's clients know an anonymous volume


class LocalVolumes:
    def __init__(self, settings: Settings, events: EventBus) -> None:
        self._folder = settings.root / "volumes"
        self._events = events
        self._volumes: dict[str, VolumeInfo] = {}
        self._users: dict[str, set[str]] = {}
        self._mounted: set[str] = set()
        self._locks = Locks()  # of making, mounting and removing each volume

    async def start_up(self) -> None:
        """Find the volumes and what of them is mounted; remove what a crash left half made or half removed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        for folder in self._folder.iterdir():
            record = folder / "volume.json"
            if folder.name.startswith(".") or not record.exists():
                await self._bury(folder)
                continue
            self._volumes[folder.name] = msgspec.json.decode(record.read_bytes(), type=VolumeInfo)
        self._mounted = {point.parent.name for point in mounts_below(self._folder) if point.name == "_data"}

    async def close(self) -> None:
        """Volumes stay mounted for the containers that run on."""

    async def create(
        self,
        name: str,
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> VolumeInfo:
        if driver not in ("", "local"):
            raise Unsupported(f"volume driver {driver!r} is not supported: use local", ("volume", name))
        labels = dict(labels or {})
        if not name:
            name = hex_id()
            labels.setdefault(ANONYMOUS, "")
        _check_name(name)
        wanted = check_options(options or {})
        async with self._locks[name]:
            known = self._volumes.get(name)
            if known is None:
                known = await self._create(name, wanted, labels)
        if wanted and wanted != (known.options or {}):
            raise Conflict(
                f"a volume named {name} already exists with other options: choose a different name", ("volume", name)
            )
        return known

    async def _create(self, name: str, options: dict[str, str], labels: dict[str, str]) -> VolumeInfo:
        info = VolumeInfo(
            name=name,
            mountpoint=str(self._data(name)),
            created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            labels=labels or None,
            options=options or None,
        )
        with disk_errors("the volume"):
            await asyncio.to_thread(self._make, info)
        self._volumes[name] = info
        self._event("create", name)
        return info

    def _make(self, info: VolumeInfo) -> None:
        aside = self._folder / f".new-{info.name}"
        (aside / "_data").mkdir(parents=True, mode=0o755)
        os.chmod(aside, 0o711)
        write_file(aside / "volume.json", msgspec.json.encode(info))
        os.rename(aside, self._folder / info.name)
        sync_folder(self._folder)

    def get(self, name: str) -> VolumeInfo:
        try:
            return self._volumes[name]
        except KeyError:
            raise NotFound(f"get {name}: no such volume", ("volume", name)) from None

    def list(self) -> Sequence[VolumeInfo]:
        return sorted(self._volumes.values(), key=lambda info: info.name)

    async def acquire(self, name: str, container_id: str) -> Path:
        async with self._locks[name]:
            info = self.get(name)
            if info.options and name not in self._mounted:
                await mount_volume(info.options, self._data(name))
                self._mounted.add(name)
            users = self._users.setdefault(name, set())
            if container_id not in users:
                users.add(container_id)
                self._event("mount", name, container=container_id, destination=info.mountpoint)
        return self._data(name)

    async def release(self, name: str, container_id: str) -> None:
        async with self._locks[name]:
            users = self._users.get(name, set())
            if container_id not in users:
                return
            users.discard(container_id)
            if not users:
                del self._users[name]
                await self._unmount(name)
        self._event("unmount", name, container=container_id)

    async def _unmount(self, name: str) -> None:
        if name in self._mounted:
            await asyncio.to_thread(unmount, str(self._data(name)), MNT_DETACH | UMOUNT_NOFOLLOW)
            self._mounted.discard(name)

    def users(self, name: str) -> Sequence[str]:
        return sorted(self._users.get(name, ()))

    async def remove(self, name: str, *, force: bool = False) -> None:
        async with self._locks[name]:
            if name not in self._volumes and force:
                return
            self.get(name)
            if users := self.users(name):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]", ("volume", name))
            await self._unmount(name)
            grave = self._folder / f".old-{hex_id()[:16]}"
            os.rename(self._folder / name, grave)
            del self._volumes[name]
        self._event("destroy", name)
        await remove_tree(grave)

    async def _bury(self, folder: Path) -> None:
        for point in mounts_below(folder):
            await asyncio.to_thread(unmount, str(point), MNT_DETACH | UMOUNT_NOFOLLOW)
        await remove_tree(folder)

    async def fill(self, name: str, source: Path) -> None:
        """`source` has no link in it: the caller resolved it inside the image's root."""
        target = self._data(name)
        if not await asyncio.to_thread(os.listdir, target):
            await run_job("copy", path=str(source), folder=str(target))

    async def recover(self, users: Mapping[str, Sequence[str]]) -> None:
        self._users = {name: set(containers) for name, containers in users.items() if containers}
        for name in self._mounted - self._users.keys():
            await self._unmount(name)

    async def disk_usage(self) -> Sequence[dict[str, Any]]:
        """As GET /system/df shows volumes: sizes in bytes, -1 for what is mounted from elsewhere."""
        return [msgspec.to_builtins(await self._measured(info)) for info in self.list()]

    async def _measured(self, info: VolumeInfo) -> VolumeInfo:
        size = -1 if info.options else await asyncio.to_thread(disk_usage, self._data(info.name))
        usage = {"Size": size, "RefCount": len(self._users.get(info.name, ()))}
        return msgspec.structs.replace(info, usage_data=usage)

    def _data(self, name: str) -> Path:
        return self._folder / name / "_data"

    def _event(self, action: str, name: str, **attributes: str) -> None:
        self._events.publish("volume", action, name, {"driver": "local", **attributes})


def _check_name(name: str) -> None:
    try:
        check_name("volume", name)
    except InvalidArgument:
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" '
            "are allowed. If you intended to pass a host directory, use absolute path",
            ("volume", name),
        ) from None
