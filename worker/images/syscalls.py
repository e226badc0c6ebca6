"""The system calls of images and volumes that Python has no name for: openat2, mount, unshare, prctl, syncfs.

Standard library only: child processes that unpack archives import this.
"""

from __future__ import annotations

import ctypes
import os

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
CLONE_FS, CLONE_NEWNS = 0x200, 0x20000

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH, _RESOLVE_IN_ROOT = 0x02, 0x04, 0x08, 0x10
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as if the folder `root` (a descriptor) were "/": no "..", no symbolic link leads out of it."""
    return _openat2(root, path, flags, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)


def status_without_links(folder: int, path: str) -> os.stat_result:
    """lstat of `path` below `folder`. Raises OSError (ELOOP) where a part before the last is a symbolic link."""
    file = _openat2(folder, path, os.O_PATH | os.O_NOFOLLOW, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
    try:
        return os.fstat(file)
    finally:
        os.close(file)


def _openat2(folder: int, path: str, flags: int, mode: int, resolve: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    descriptor: int = _libc.syscall(
        ctypes.c_long(_OPENAT2), folder, os.fsencode(path), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
    )
    return _checked(descriptor, path)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(kind) if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(options) if options else None,
    )
    _checked(result, target)


def unmount(target: str, flags: int = UMOUNT_NOFOLLOW) -> None:
    _checked(_libc.umount2(os.fsencode(target), flags), target)


def unshare(flags: int) -> None:
    """Leave what the calling thread shares with others (CLONE_FS: its working directory, CLONE_NEWNS: its mounts)."""
    _checked(_libc.unshare(flags), "")


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` to this process when the thread that started it ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "")


def syncfs(descriptor: int) -> None:
    """Write everything of the file system that `descriptor` lies on to its disk; errors of earlier writes show here."""
    _checked(_libc.syncfs(descriptor), "")


def _checked(result: int, path: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result
