"""Being told of changes in folders without asking again and again: one inotify instance for the whole daemon."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

_MODIFY, _MOVED_TO, _CREATE, _IGNORED = 0x2, 0x80, 0x100, 0x8000
_OVERFLOWN = -1  # the watch of the event which says that others were lost
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)

Callback = Callable[[], None]


class Inotify:
    """Callbacks on changes of the files in folders. Works on the loop that called `start_up()`."""

    def __init__(self) -> None:
        self._fd = -1
        self._callbacks: dict[int, list[Callback]] = {}

    def start_up(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        asyncio.get_running_loop().add_reader(self._fd, self._dispatch)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def watch(self, folder: Path, callback: Callback) -> Callback:
        """Call `callback` after each change in `folder`; the answer ends that. Raises OSError."""
        # The kernel gives the same number to every watch of one folder.
        number = _checked(_libc.inotify_add_watch(self._fd, os.fsencode(folder), _MODIFY | _MOVED_TO | _CREATE))
        self._callbacks.setdefault(number, []).append(callback)
        return lambda: self._forget(number, callback)

    def _forget(self, number: int, callback: Callback) -> None:
        callbacks = self._callbacks.get(number, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks and self._callbacks.pop(number, None) is not None:
            _libc.inotify_rm_watch(self._fd, number)

    def _dispatch(self) -> None:
        changed = _changed(os.read(self._fd, 64 * 1024))
        for number in tuple(self._callbacks) if _OVERFLOWN in changed else changed:
            for callback in tuple(self._callbacks.get(number, ())):
                callback()


def _changed(data: bytes) -> set[int]:
    """The numbers of the watches that events in `data` are about."""
    numbers, position = set(), 0
    while position < len(data):
        number, mask, _, length = _EVENT.unpack_from(data, position)
        position += _EVENT.size + length
        if not mask & _IGNORED:
            numbers.add(number)
    return numbers


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
