"""Network namespaces: pinning them by a bind mount, and running code inside one.

A namespace belongs to a thread, so all of this happens in pool threads, which always come home; the main thread never
leaves home, because its /proc entry is what child processes and host-mode containers take for the host's namespace.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_NEWNET = 0x40000000
_MS_BIND, _MNT_DETACH = 0x1000, 2
_THREADS = 8
_HERE = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceThreads:
    """Threads that may enter namespaces."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="netns")

    async def run(self, function: Callable[[], T], undo: Callable[[T], None] = lambda _: None) -> T:
        """Run it and wait for its end, even when the caller is cancelled: then `undo` gets the result that nobody will."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, function)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.exception():
                undo(future.result())
            raise

    def close(self) -> None:
        self._pool.shutdown(wait=True)


def create(path: Path, inside: Callable[[], T]) -> T:
    """Make a namespace, pin it at `path` (which must not exist), return what `inside` returns in it. Pool threads only."""
    path.touch(mode=0o444, exist_ok=False)

    def enter() -> T:
        _check(_libc.unshare(_NEWNET))
        _check(_libc.mount(_HERE.encode(), os.fsencode(path), b"none", _MS_BIND, None))
        return inside()

    return _away(enter)


def run_in(path: Path, function: Callable[[], T]) -> T:
    """Run `function` inside the namespace pinned at `path`. Pool threads only."""

    def enter() -> T:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(descriptor, _NEWNET))
        finally:
            os.close(descriptor)
        return function()

    return _away(enter)


def remove(path: Path) -> None:
    """Unpin; the kernel ends the namespace with its last process and socket. Idempotent."""
    while _libc.umount2(os.fsencode(path), _MNT_DETACH) == 0:
        pass
    path.unlink(missing_ok=True)


def is_pinned(path: Path) -> bool:
    """True where a namespace (and not just the file that was to carry it) is at `path`."""
    try:
        return os.stat(path).st_dev != os.stat(path.parent).st_dev
    except OSError:
        return False


def _away(function: Callable[[], T]) -> T:
    home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return function()
    finally:
        if _libc.setns(home, _NEWNET):
            os._exit(70)  # a pool thread lost in a container's namespace must never serve anyone
        os.close(home)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
