"""The /dev/shm that a container shares with others (`--ipc shareable`): a tmpfs of the host's, beside the bundle."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from worker.images.syscalls import MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID, UMOUNT_NOFOLLOW, mount, unmount


def folder(bundle: Path) -> Path:
    return bundle / "shm"


def make(bundle: Path, size: int) -> Path:
    """Mount it anew, `size` in bytes."""
    remove(bundle)
    path = folder(bundle)
    path.mkdir(parents=True, exist_ok=True)
    mount("shm", str(path), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"mode=1777,size={size}")
    return path


def remove(bundle: Path) -> None:
    """Idempotent. Those who joined it keep it until they end."""
    with suppress(OSError):
        unmount(str(folder(bundle)), MNT_DETACH | UMOUNT_NOFOLLOW)
