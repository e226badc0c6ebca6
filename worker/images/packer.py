"""Packs a folder into a tar stream: a root file system (export), a path (`docker cp`) or an overlay's upper folder (commit).

Works relative to descriptors and follows no link below its start; memory is bounded. Runs in child processes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from worker.images.applier import OPAQUE, OPAQUE_MARK, WHITEOUT
from worker.images.compression import CHUNK
from worker.images.tarformat import (
    BLOCK_DEVICE,
    CHAR,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    SYMLINK,
    Entry,
    padding,
    trailer,
    write_header,
)

_TYPES = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}  # sockets are left out: no tar can hold them
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Packer:
    """One archive. `whiteouts`: the folder is an overlay's upper, whose marks become `.wh.` names."""

    def __init__(self, *, whiteouts: bool = False) -> None:
        self._whiteouts = whiteouts
        self._links: dict[tuple[int, int], str] = {}

    def tree(self, folder: int, name: str) -> Iterator[bytes]:
        """The folder (a descriptor) as `name`, then all below it. An empty `name` leaves the folder's own entry out."""
        if name:
            yield write_header(_describe(os.fstat(folder), name.rstrip("/") + "/", folder, ""))
        yield from self._below(folder, name.rstrip("/") + "/" if name else "")

    def single(self, parent: int, base: str, name: str) -> Iterator[bytes]:
        """One entry of the folder `parent`, in the archive as `name`; a folder with all below it."""
        yield from self._entry(parent, base, name)

    def _below(self, folder: int, prefix: str) -> Iterator[bytes]:
        if self._whiteouts and prefix and _xattr(folder, OPAQUE) == b"y":
            yield write_header(Entry(prefix + OPAQUE_MARK, mode=0))
        for base in sorted(os.listdir(folder)):
            yield from self._entry(folder, base, prefix + base)

    def _entry(self, parent: int, base: str, name: str) -> Iterator[bytes]:
        try:
            status = os.stat(base, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return  # a running container removed it meanwhile
        if self._whiteouts and stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            folder, _, last = name.rpartition("/")
            yield write_header(Entry(f"{folder}/{WHITEOUT}{last}" if folder else WHITEOUT + last, mode=0))
        elif stat.S_ISDIR(status.st_mode):
            yield from self._folder(parent, base, name)
        elif stat.S_IFMT(status.st_mode) in _TYPES:
            yield from self._leaf(parent, base, name, status)

    def _folder(self, parent: int, base: str, name: str) -> Iterator[bytes]:
        folder = os.open(base, _FOLDER_FLAGS, dir_fd=parent)
        try:
            yield from self.tree(folder, name)
        finally:
            os.close(folder)

    def _leaf(self, parent: int, base: str, name: str, status: os.stat_result) -> Iterator[bytes]:
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._links:
            yield write_header(Entry(name, HARD_LINK, stat.S_IMODE(status.st_mode), link=self._links[key]))
            return
        if status.st_nlink > 1:
            self._links[key] = name
        if not stat.S_ISREG(status.st_mode):
            link = os.readlink(base, dir_fd=parent) if stat.S_ISLNK(status.st_mode) else ""
            yield write_header(_describe(status, name, -1, link))
            return
        file = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)
        try:
            entry = _describe(os.fstat(file), name, file, "")
            yield write_header(entry)
            yield from _content(file, entry.size)
        finally:
            os.close(file)


def pack(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Ends the archive and gathers small pieces, so that a consumer sees few and large ones."""
    pending: list[bytes] = []
    size = 0
    for chunk in chunks:
        pending.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(pending)
            pending, size = [], 0
    pending.append(trailer())
    yield b"".join(pending)


def _content(file: int, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes and their padding: what a file grew by is left out, what it lost is zeroes."""
    left = size
    while left > 0:
        data = os.read(file, min(left, CHUNK)) or bytes(min(left, CHUNK))
        left -= len(data)
        yield data
    yield padding(size)


def _describe(status: os.stat_result, name: str, file: int, link: str) -> Entry:
    kind = _TYPES[stat.S_IFMT(status.st_mode)]
    return Entry(
        name=name,
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=int(status.st_mtime),
        size=status.st_size if kind == FILE else 0,
        link=link,
        major=os.major(status.st_rdev) if kind in (CHAR, BLOCK_DEVICE) else 0,
        minor=os.minor(status.st_rdev) if kind in (CHAR, BLOCK_DEVICE) else 0,
        xattrs=_xattrs(file) if file >= 0 else {},
    )


def _xattrs(file: int) -> dict[str, bytes]:
    try:
        names = os.listxattr(file)
    except OSError:
        return {}
    return {
        name: value
        for name in sorted(names)
        if not name.startswith(("trusted.overlay.", "user.overlay."))
        if (value := _xattr(file, name)) is not None
    }


def _xattr(file: int, name: str) -> bytes | None:
    try:
        return os.getxattr(file, name)
    except OSError:
        return None  # removed meanwhile, or not ours to read
