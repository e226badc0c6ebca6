"""Mounts of the host's beside a container's bundle: its shared /dev/shm, and sub-paths of volumes while it is created."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from worker.images.syscalls import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_REC,
    UMOUNT_NOFOLLOW,
    mount,
    unmount,
)

_SHM, _SUBPATHS = "shm", "subpaths"


def shared_memory(bundle: Path) -> Path:
    """Where the /dev/shm lies that a container shares with others (`--ipc shareable`)."""
    return bundle / _SHM


def mount_shared_memory(bundle: Path, size: int) -> Path:
    """`size` in bytes."""
    path = shared_memory(bundle)
    path.mkdir(parents=True, exist_ok=True)
    mount("shm", str(path), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"mode=1777,size={size}")
    return path


def mount_opened(bundle: Path, number: int, fd: int) -> Path:
    """Give what `fd` (a folder or a file) has open a path of its own: a runtime in another namespace cannot use descriptors."""
    path = bundle / _SUBPATHS / str(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        path.mkdir(exist_ok=True)
    else:
        path.touch()
    mount(f"/proc/self/fd/{fd}", str(path), flags=MS_BIND | MS_REC)
    return path


def unmount_subpaths(bundle: Path) -> None:
    """Idempotent. A created container keeps what it has of them."""
    with suppress(FileNotFoundError):
        for path in (bundle / _SUBPATHS).iterdir():
            _unmount(path)


def unmount_all(bundle: Path) -> None:
    """Idempotent. Those who joined a shared /dev/shm keep it until they end."""
    _unmount(shared_memory(bundle))
    unmount_subpaths(bundle)


def _unmount(path: Path) -> None:
    with suppress(OSError):
        unmount(str(path), MNT_DETACH | UMOUNT_NOFOLLOW)
