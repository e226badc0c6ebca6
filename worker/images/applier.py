"""Writes the entries of a tar below a root folder: an image's layer, or what `docker cp` brings.

Nothing leaves the root: each parent folder is opened with RESOLVE_IN_ROOT, and the last name is used relative to it
without following links. Names with ".." are refused. For layers, whiteouts become overlayfs's own. Runs in child processes.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from common.errors import InvalidArgument, TooLarge
from worker.images.syscalls import open_in_root
from worker.images.tarformat import BLOCK_DEVICE, CHAR, FIFO, FILE, FOLDER, HARD_LINK, SYMLINK, Entry
from worker.images.tarread import Data, Source, read_entries

OPAQUE = "trusted.overlay.opaque"
WHITEOUT = ".wh."
OPAQUE_MARK = ".wh..wh..opq"
_RESERVED = ".wh..wh."  # aufs's own names
_OPEN_FOLDERS = 256
_MAX_DEPTH = 400
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY
_NODES = {CHAR: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}


class Options(NamedTuple):
    """`whiteouts`: translate them (layers). `owner`: who gets every entry instead of the archive's. `max_bytes` -1: no limit."""

    whiteouts: bool = True
    owner: tuple[int, int] | None = None
    keep_kind: bool = False  # refuse to put a folder over a file and a file over a folder
    max_bytes: int = -1
    max_entries: int = 2_000_000


class Applier:
    """Applies entries below the folder `root` (a descriptor, which stays the caller's). Use as a context manager."""

    def __init__(self, root: int, options: Options) -> None:
        self._root = root
        self._options = options
        self._folders: dict[str, int] = {}
        self._times: dict[str, float] = {}
        self.entries = 0
        self.size = 0  # bytes of file data written

    def __enter__(self) -> Applier:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._folders.values():
            os.close(descriptor)
        self._folders.clear()

    def apply(self, source: Source) -> None:
        """Apply a whole archive. Raises InvalidArgument, TooLarge and OSError; the caller removes what was written."""
        for entry, data in read_entries(source):
            self._count(entry)
            self._entry(entry, data)
        for path, mtime in reversed(self._times.items()):
            os.utime(self._folder(path), (mtime, mtime))

    def _count(self, entry: Entry) -> None:
        self.entries += 1
        self.size += entry.size
        if self.entries > self._options.max_entries:
            raise TooLarge(f"the archive has more than {self._options.max_entries} entries")
        if 0 <= self._options.max_bytes < self.size:
            raise OSError(errno.ENOSPC, "the archive's files need more space than is free")

    def _entry(self, entry: Entry, data: Data) -> None:
        parts = _parts(entry.name)
        if not parts:
            if entry.type == FOLDER:
                self._own_folder("", entry)
            return
        base = parts.pop()
        parent_path = "/".join(parts)
        parent = self._folder(parent_path)
        if self._options.whiteouts and base.startswith(WHITEOUT):
            self._whiteout(parent, parent_path, base)
            return
        path = f"{parent_path}/{base}" if parent_path else base
        if entry.type == FOLDER:
            self._make_folder(parent, base, path, entry)
            return
        self._clear(parent, base, path, folder=False)
        if entry.type == FILE:
            self._write_file(parent, base, entry, data)
        elif entry.type == HARD_LINK:
            self._hard_link(parent, base, entry)
        else:
            self._make_node(parent, base, entry)

    def _folder(self, path: str) -> int:
        """A descriptor of the folder `path`, made where it is missing; links in it are resolved inside the root."""
        known = self._folders.pop(path, None)
        if known is not None:
            self._folders[path] = known  # now the last to be closed: callers hold it while they ask for another
            return known
        try:
            descriptor = open_in_root(self._root, path or ".", _FOLDER_FLAGS)
        except FileNotFoundError:
            parent, _, base = path.rpartition("/")
            self._make_missing(self._folder(parent), base, path)
            descriptor = open_in_root(self._root, path, _FOLDER_FLAGS)
        except NotADirectoryError:
            raise InvalidArgument(f"the archive puts a file below {path!r}, which is no folder") from None
        if len(self._folders) >= _OPEN_FOLDERS:
            os.close(self._folders.pop(next(iter(self._folders))))
        self._folders[path] = descriptor
        return descriptor

    @staticmethod
    def _make_missing(parent: int, base: str, path: str) -> None:
        try:
            os.mkdir(base, 0o755, dir_fd=parent)
        except FileExistsError:
            raise InvalidArgument(
                f"the archive uses {path!r} as a folder, but it is a link that leads nowhere"
            ) from None

    def _forget(self, path: str) -> None:
        """Drop what is remembered of `path` and everything below: it is about to be replaced."""
        below = path + "/"
        for known in [p for p in self._folders if p == path or p.startswith(below)]:
            os.close(self._folders.pop(known))
        for known in [p for p in self._times if p == path or p.startswith(below)]:
            del self._times[known]

    def _clear(self, parent: int, base: str, path: str, *, folder: bool) -> bool:
        """Remove what is in the way of a new `base`. True where a folder is there and may stay."""
        try:
            there = os.stat(base, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        is_folder = stat.S_ISDIR(there.st_mode)
        if is_folder and folder:
            return True
        if self._options.keep_kind and is_folder != folder:
            kinds = ("non-directory", "directory")
            message = f'cannot overwrite {kinds[is_folder]} "/{path}" with {kinds[folder]} "/{path}"'
            raise InvalidArgument(message)
        if is_folder:
            self._forget(path)
            from shutil import rmtree  # rare, and its import costs what unpacking 50 files does

            rmtree(base, dir_fd=parent)
        else:
            os.unlink(base, dir_fd=parent)
        return False

    def _whiteout(self, parent: int, parent_path: str, base: str) -> None:
        """A whiteout hides what lower layers have, never what this layer itself brings."""
        if base == OPAQUE_MARK:
            os.setxattr(parent, OPAQUE, b"y")
            return
        if base.startswith(_RESERVED):
            return
        hidden = base[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise InvalidArgument(f"the archive has an invalid whiteout {base!r}")
        try:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
        except FileExistsError:
            path = f"{parent_path}/{hidden}" if parent_path else hidden
            if stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
                os.setxattr(self._folder(path), OPAQUE, b"y")

    def _make_folder(self, parent: int, base: str, path: str, entry: Entry) -> None:
        hides = self._options.whiteouts and _is_whiteout(parent, base)
        if not self._clear(parent, base, path, folder=True):
            os.mkdir(base, 0o700, dir_fd=parent)
        self._own_folder(path, entry)
        if hides:
            os.setxattr(self._folder(path), OPAQUE, b"y")

    def _own_folder(self, path: str, entry: Entry) -> None:
        folder = self._folder(path)
        self._own(folder, entry)
        self._times.pop(path, None)
        self._times[path] = entry.mtime

    def _write_file(self, parent: int, base: str, entry: Entry, data: Data) -> None:
        file = os.open(base, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        try:
            for view in data():
                written = 0
                while written < len(view):
                    written += os.write(file, view[written:])
            self._own(file, entry)
            os.utime(file, (entry.mtime, entry.mtime))
        finally:
            os.close(file)

    def _own(self, file: int, entry: Entry) -> None:
        """Owner first: a change of owner clears set-id bits and capabilities."""
        os.fchown(file, *(self._options.owner or (entry.uid, entry.gid)))
        for name, value in entry.xattrs.items():
            _set_xattr(file, name, value)
        os.fchmod(file, entry.mode)

    def _hard_link(self, parent: int, base: str, entry: Entry) -> None:
        parts = _parts(entry.link)
        if not parts:
            raise InvalidArgument(f"the archive's entry {entry.name!r} is a hard link to nothing")
        target = parts.pop()
        try:
            folder = open_in_root(self._root, "/".join(parts) or ".", _FOLDER_FLAGS)
            try:
                os.link(target, base, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidArgument(
                f"the archive's entry {entry.name!r} is a hard link to {entry.link!r}, which is not there"
            ) from None

    def _make_node(self, parent: int, base: str, entry: Entry) -> None:
        uid, gid = self._options.owner or (entry.uid, entry.gid)
        if entry.type == SYMLINK:
            os.symlink(entry.link, base, dir_fd=parent)
        else:
            self._refuse_whiteout(entry)
            os.mknod(base, _NODES[entry.type] | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent)
        os.chown(base, uid, gid, dir_fd=parent, follow_symlinks=False)
        if entry.type != SYMLINK:
            os.chmod(base, entry.mode, dir_fd=parent)
        os.utime(base, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _refuse_whiteout(self, entry: Entry) -> None:
        """A character device 0/0 is overlayfs's own mark for a deleted file: no archive may write one."""
        if entry.type == CHAR and (entry.major, entry.minor) == (0, 0):
            raise InvalidArgument(
                f"the archive's entry {entry.name!r} is a device 0/0, which overlayfs keeps for itself"
            )


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidArgument(f"the archive's name {name!r} contains '..', which could lead out of its root")
    if len(parts) > _MAX_DEPTH:
        raise InvalidArgument(f"the archive has folders nested more than {_MAX_DEPTH} deep: {name[:60]!r}…")
    if any(len(part) > 63 and len(os.fsencode(part)) > 255 for part in parts):
        raise InvalidArgument(f"the archive has a file name longer than 255 bytes: {name[:60]!r}…")
    return parts


def _is_whiteout(parent: int, base: str) -> bool:
    try:
        there = os.stat(base, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(there.st_mode) and there.st_rdev == 0


def _set_xattr(file: int, name: str, value: bytes) -> None:
    """overlayfs's own attributes are never taken from an archive; those that the file system cannot hold are left out."""
    if name.startswith(("trusted.overlay.", "user.overlay.")):
        return
    try:
        os.setxattr(file, name, value)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
            raise
