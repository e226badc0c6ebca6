"""Paths inside a container's root file system, resolved as the container itself would: stat, get and put of `docker cp`.

Runs in child processes. `root` is always a descriptor of the container's root folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from common.errors import InvalidArgument, NotFound
from worker.images.applier import Applier, Options
from worker.images.packer import Packer, pack
from worker.images.syscalls import open_in_root
from worker.images.tarread import Source

_MAX_LINKS = 255
_GO_MODES = (
    (stat.S_ISDIR, 1 << 31),
    (stat.S_ISLNK, 1 << 27),
    (stat.S_ISBLK, 1 << 26),
    (stat.S_ISCHR, 1 << 26 | 1 << 21),
    (stat.S_ISFIFO, 1 << 25),
    (stat.S_ISSOCK, 1 << 24),
)
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


def describe(root: int, path: str) -> dict[str, Any]:
    """Docker's ContainerPathStat. A last name that is a link is described itself, with the place it leads to."""
    parent, base = _parent(root, path)
    try:
        status = os.stat(base, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        raise _missing(path) from None
    finally:
        os.close(parent)
    time = datetime.fromtimestamp(status.st_mtime, UTC).isoformat().replace("+00:00", "Z")
    return {
        "name": _shown_base(path) or "/",
        "size": status.st_size,
        "mode": go_mode(status.st_mode),
        "mtime": time,
        "linkTarget": resolve(root, path) if stat.S_ISLNK(status.st_mode) else "",
    }


def get(root: int, path: str) -> Iterator[bytes]:
    """A tar of what lies at `path`, with names that begin with its last part; ("/": with "/")."""
    parent, base = _parent(root, path)
    try:
        yield from pack(_entries(root, parent, base, path))
    finally:
        os.close(parent)


def put(root: int, path: str, source: Source, options: Options) -> None:
    """Extract a plain tar into the folder at `path`. Raises NotFound, InvalidArgument where it is no folder."""
    try:
        folder = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise _missing(path) from None
    except NotADirectoryError:
        raise InvalidArgument("extraction point is not a directory") from None
    try:
        with Applier(folder, options) as applier:
            applier.apply(source)
    finally:
        os.close(folder)


def resolve(root: int, path: str) -> str:
    """The absolute path inside the container that `path` leads to; parts that do not exist are kept as they are."""
    pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    done: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            done = done[:-1]
            continue
        target = _link(root, "/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise InvalidArgument(f"too many symbolic links in {path!r}")
        if target.startswith("/"):
            done = []
        pending.extend(piece for piece in reversed(target.split("/")) if piece not in ("", "."))
    return "/" + "/".join(done)


def go_mode(mode: int) -> int:
    """The mode as Go's FileMode, which Docker's clients read."""
    value = stat.S_IMODE(mode) & 0o777
    for test, bits in _GO_MODES:
        value |= bits if test(mode) else 0
    for bit, bits in _GO_BITS:
        value |= bits if mode & bit else 0
    return value


def _entries(root: int, parent: int, base: str, path: str) -> Iterator[bytes]:
    """For "/" and "x/." the folder itself; otherwise the entry under its own name."""
    if base != ".":
        yield from Packer().single(parent, base, _shown_base(path))
        return
    name = _shown_base(path)
    if name:
        yield from Packer().tree(parent, name)
        return
    for child in sorted(os.listdir(parent)):
        yield from Packer().single(parent, child, "/" + child)


def _parent(root: int, path: str) -> tuple[int, str]:
    """A descriptor of the folder that `path` lies in and the last name, "." where the path ends in "/" or "/."."""
    head, _, base = ("/" + path).rpartition("/")
    if base in ("", ".", ".."):
        head, base = "/" + path, "."
    try:
        return open_in_root(root, head or "/", os.O_RDONLY | os.O_DIRECTORY), base
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None


def _shown_base(path: str) -> str:
    """What Docker's clients expect as the first name: "." behind "/.", nothing for the root."""
    if path.endswith("/.") and path.strip("/.") != "":
        return "."
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return parts[-1] if parts else ""


def _link(root: int, path: str) -> str | None:
    head, _, base = path.rpartition("/")
    try:
        parent = open_in_root(root, head or ".", os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        return os.readlink(base, dir_fd=parent)
    except OSError:
        return None
    finally:
        os.close(parent)


def _missing(path: str) -> NotFound:
    return NotFound(f"Could not find the file {path}")
