"""Being told of changes in folders without asking again and again: one inotify instance for the whole daemon."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

_MODIFY, _MOVED_TO, _CREATE, _IGNORED, _MASK_ADD = 0x2, 0x80, 0x100, 0x8000, 0x20000000
_OVERFLOWN = -1  # the watch of the event which says that others were lost
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)

Callback = Callable[[], None]
_Watch = tuple[int, Callback]  # which events, whom to tell


class Inotify:
    """Callbacks on changes of the files in folders. Works on the loop that called `start_up()`."""

    def __init__(self) -> None:
        self._fd = -1
        self._callbacks: dict[int, list[_Watch]] = {}

    def start_up(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        asyncio.get_running_loop().add_reader(self._fd, self._dispatch)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def watch(self, folder: Path, callback: Callback, *, writes: bool = True) -> Callback:
        """Call `callback` when a file appears in `folder` or, with `writes`, grows; the answer ends that. Raises OSError.

        `folder` may be a file: then it is about that one's writes.
        """
        mask = _MOVED_TO | _CREATE | (_MODIFY if writes else 0)
        # The kernel gives the same number to every watch of one folder, and would forget what the others want.
        number = _checked(_libc.inotify_add_watch(self._fd, os.fsencode(folder), mask | _MASK_ADD))
        watch = (mask, callback)
        self._callbacks.setdefault(number, []).append(watch)
        return lambda: self._forget(number, watch)

    def _forget(self, number: int, watch: _Watch) -> None:
        watches = self._callbacks.get(number, [])
        if watch in watches:
            watches.remove(watch)
        if not watches and self._callbacks.pop(number, None) is not None:
            _libc.inotify_rm_watch(self._fd, number)

    def _dispatch(self) -> None:
        changed = _changed(os.read(self._fd, 64 * 1024))
        lost = _OVERFLOWN in changed
        for number in tuple(self._callbacks) if lost else tuple(changed):
            for mask, callback in tuple(self._callbacks.get(number, ())):
                if lost or mask & changed[number]:
                    callback()


def _changed(data: bytes) -> dict[int, int]:
    """What happened, by the numbers of the watches that events in `data` are about."""
    changed: dict[int, int] = {}
    position = 0
    while position < len(data):
        number, mask, _, length = _EVENT.unpack_from(data, position)
        position += _EVENT.size + length
        if not mask & _IGNORED:
            changed[number] = changed.get(number, 0) | mask
    return changed


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
