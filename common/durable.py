"""Files that survive a crash: written aside, synced, renamed."""

from __future__ import annotations

import os
from pathlib import Path


def write_file(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` by `data` in one step; a reader sees the old or the new content, never a part.

    With `durable` the content and the name are on disk when this returns; without, a power cut may bring the old one back.
    """
    temporary = path.with_name(f".{path.name}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        _write_all(fd, data)
        if durable:
            os.fdatasync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames and new names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
