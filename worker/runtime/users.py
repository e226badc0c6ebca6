"""Who "user[:group]" is inside a container: looked up in its own /etc/passwd and /etc/group, as Docker does.

Files are opened below the container's root with links resolved inside of it (openat2, RESOLVE_IN_ROOT): an image cannot
make the daemon read the host's files.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import InvalidArgument

_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_MAX_ID = 2**31 - 1
_MAX_FILE = 4 << 20  # bytes of a passwd or group file that are read
_libc = ctypes.CDLL(None, use_errno=True)


class Identity(NamedTuple):
    """Numeric ids for OCI's process.user, and the user's home ("/" where the container knows none)."""

    uid: int
    gid: int
    additional: list[int]
    home: str


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def lookup(rootfs: Path, user: str, group_add: Sequence[str] = ()) -> Identity:
    """The identity of "user[:group]" (names or numbers; "" is root). Raises InvalidArgument with Docker's words."""
    users, groups = _users(read_inside(rootfs, "etc/passwd")), _groups(read_inside(rootfs, "etc/group"))
    name, _, group = user.partition(":")
    found = _find_user(users, name or "0")
    gid = _find_group(groups, group).gid if group else found.gid
    member_of = [] if group else [g.gid for g in groups if found.name and found.name in g.members and g.gid != gid]
    added = [_find_group(groups, name).gid for name in group_add]
    # The primary group is among the additional ones: a process that drops it must not gain by a "deny group" rule.
    return Identity(found.uid, gid, list(dict.fromkeys((gid, *member_of, *added))), found.home or "/")


def read_inside(rootfs: Path, path: str) -> str:
    """A text file below `rootfs`, "" where there is none; symbolic links cannot lead out of it."""
    try:
        fd = open_inside(rootfs, path)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        return file.read(_MAX_FILE).decode(errors="replace")


def open_inside(rootfs: Path, path: str) -> int:
    """A descriptor for reading `path` with every link resolved as if `rootfs` were the root. Raises OSError."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Non-blocking: a FIFO put in the file's place must not hang the daemon.
        how = struct.pack("QQQ", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0, _RESOLVE_IN_ROOT)
        fd = _libc.syscall(_OPENAT2, root, os.fsencode(path), how, len(how))
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
        return int(fd)
    finally:
        os.close(root)


def _find_user(users: Iterable[_User], name: str) -> _User:
    for user in users:
        if user.name == name:
            return user
    number = _id(name)
    if number is None:
        raise InvalidArgument(f"unable to find user {name}: no matching entries in passwd file")
    return next((user for user in users if user.uid == number), _User("", number, 0, ""))


def _find_group(groups: Iterable[_Group], name: str) -> _Group:
    for group in groups:
        if group.name == name:
            return group
    number = _id(name)
    if number is None:
        raise InvalidArgument(f"unable to find group {name}: no matching entries in group file")
    return _Group("", number, ())


def _id(text: str) -> int | None:
    if not text.isascii() or not text.isdigit():
        return None
    number = int(text)
    if number > _MAX_ID:
        raise InvalidArgument(f"uids and gids must be in range 0-{_MAX_ID}")
    return number


def _users(text: str) -> list[_User]:
    rows = (line.strip().split(":") for line in text.splitlines() if not line.startswith("#"))
    return [
        _User(row[0], int(row[2]), int(row[3]), row[5] if len(row) > 5 else "")
        for row in rows
        if len(row) >= 4 and row[2].isdigit() and row[3].isdigit()
    ]


def _groups(text: str) -> list[_Group]:
    rows = (line.strip().split(":") for line in text.splitlines() if not line.startswith("#"))
    return [
        _Group(row[0], int(row[2]), tuple(row[3].split(",")) if len(row) > 3 else ())
        for row in rows
        if len(row) >= 3 and row[2].isdigit()
    ]
