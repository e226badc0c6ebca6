"""The lowest layer of every container: the mount points that a container's start needs and an image may lack.

Being below the image it never hides what the image has, and what it adds shows neither in `docker diff` nor in a commit.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from common.errors import ShoalError
from worker.images.applier import OPAQUE
from worker.images.layout import Layout
from worker.images.overlay import Mounter
from worker.images.rootfs import INIT_LINK

_FOLDERS = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
_FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")


def make_init_layer(layout: Layout) -> None:
    """Make it anew at each start: nothing in it is worth keeping, and a half made one heals."""
    folder = layout.layers / INIT_LINK
    for name in ("", *_FOLDERS):
        (folder / name).mkdir(mode=0o755, exist_ok=True)
    for name in _FILES:
        (folder / name).touch(mode=0o755)
    mtab = folder / "etc" / "mtab"
    if not mtab.is_symlink():
        mtab.symlink_to("/proc/mounts")
    link = layout.links / INIT_LINK
    if not link.is_symlink():
        link.symlink_to(f"../{INIT_LINK}")


async def check_storage(layout: Layout) -> None:
    """Try what layers and writable roots need of the file system. Raises ShoalError saying what it lacks."""
    probe = layout.new_layer()
    mounter = Mounter(layout.links)
    try:
        _try_marks(probe)
        for name in ("upper", "work", "merged"):
            (probe / name).mkdir()
        await mounter.mount(probe, [INIT_LINK])
        await mounter.unmount(probe)
    except OSError as error:
        raise ShoalError(_complaint(layout.root, error)) from None
    finally:
        mounter.close()


def _try_marks(folder: Path) -> None:
    os.setxattr(folder, OPAQUE, b"y")
    os.removexattr(folder, OPAQUE)
    os.mknod(folder / "whiteout", stat.S_IFCHR, os.makedev(0, 0))


def _complaint(root: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"mounting and marking layers below {root} is not permitted ({error}): the daemon needs all of root's "
            "capabilities, and a --root that lies on ext4, xfs, btrfs or tmpfs, not on an overlayfs"
        )
    return (
        f"the file system of {root} cannot hold the writable layers of containers (overlayfs needs trusted xattrs and no "
        f"overlayfs below it): choose a folder on ext4, xfs, btrfs or tmpfs with --root ({error})"
    )
