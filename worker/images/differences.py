"""What a container changed (`docker diff`) and how much space its writable layer takes, read from the overlay's upper folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from worker.images.applier import OPAQUE
from worker.images.base import FileChange
from worker.images.syscalls import status_without_links

MODIFIED, ADDED, DELETED = 0, 1, 2


def changes(upper: Path, lowers: Sequence[Path]) -> list[FileChange]:
    """Changes by path, as Docker's overlay driver reports them; `lowers` highest first. Blocks: call it in a thread."""
    found: dict[str, int] = {}
    with ExitStack() as stack:
        below = [_opened(folder, stack) for folder in lowers]
        for path, status in _walk(upper, ""):
            kind = _kind(upper, below, path, status)
            if kind is None:
                continue
            if kind != MODIFIED and (parent := os.path.dirname(path)) != "/":
                found.setdefault(parent, MODIFIED)
            found[path] = kind
    return [FileChange(path, kind) for path, kind in sorted(found.items())]


def _opened(folder: Path, stack: ExitStack) -> int:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def disk_usage(folder: Path) -> int:
    """Bytes of all files below `folder`, hard links once. Blocks: call it in a thread."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for _, status in _walk(folder, ""):
        key = (status.st_dev, status.st_ino)
        if status.st_nlink == 1 or stat.S_ISDIR(status.st_mode) or key not in seen:
            total += status.st_size if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode) else 0
            seen.add(key)
    return total


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """(path with a leading slash, status) of everything below; what vanishes meanwhile is left out."""
    pending = [(str(folder), prefix)]
    while pending:
        place, above = pending.pop()
        try:
            entries = list(os.scandir(place))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield f"{above}/{entry.name}", status
            if stat.S_ISDIR(status.st_mode):
                pending.append((entry.path, f"{above}/{entry.name}"))


def _kind(upper: Path, lowers: Sequence[int], path: str, status: os.stat_result) -> int | None:
    """None for a folder that is in the upper only because something below it changed."""
    if _is_whiteout(status):
        return DELETED
    below = _lower_status(lowers, path.lstrip("/"))
    if below is None:
        return ADDED
    if stat.S_ISDIR(status.st_mode) and stat.S_ISDIR(below.st_mode):
        if _opaque(f"{upper}{path}"):
            return DELETED
        same = (status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime))
        if same == (below.st_mode, below.st_uid, below.st_gid, int(below.st_mtime)):
            return None
    return MODIFIED


def _lower_status(lowers: Sequence[int], path: str) -> os.stat_result | None:
    """What the layers show at `path`, as overlayfs would merge them."""
    for lower in lowers:
        try:
            status = status_without_links(lower, path)
        except (FileNotFoundError, NotADirectoryError):
            if _hidden_below(lower, path):
                return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return None
        else:
            return None if _is_whiteout(status) else status
    return None


def _hidden_below(lower: int, path: str) -> bool:
    """True where this layer hides the layers below it at `path`: a parent is opaque, or no folder."""
    while path := os.path.dirname(path):
        try:
            status = status_without_links(lower, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return not stat.S_ISDIR(status.st_mode) or _opaque(f"/proc/self/fd/{lower}/{path}")
    return False


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _opaque(place: str) -> bool:
    try:
        return os.getxattr(place, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
