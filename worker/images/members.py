"""Takes the outer archive of `docker load` apart: each file into a numbered one, named by the index that comes back.

Names of the archive are never used as paths. Runs in child processes.
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import InvalidArgument, TooLarge
from worker.images.compression import decompress
from worker.images.layerwork import BlobWriter, first_bytes
from worker.images.tarformat import FILE, HARD_LINK, SYMLINK, Entry
from worker.images.tarread import Data, Source, read_entries

MAX_MEMBERS = 100_000


def split(chunks: Iterator[bytes], folder: Path, max_bytes: int) -> dict[str, Any]:
    """{"files": {name: {"file", "size", "digest"}}, "links": {name: name}}; the files are in `folder`, which must exist."""
    files: dict[str, dict[str, Any]] = {}
    size = 0
    links: dict[str, str] = {}
    plain = decompress(first_bytes(chunks), chunks)
    for number, (entry, data) in enumerate(read_entries(Source(plain))):
        if number >= MAX_MEMBERS:
            raise TooLarge(f"the archive has more than {MAX_MEMBERS} members: it is no image archive")
        size += entry.size
        if size > max_bytes:
            raise OSError(errno.ENOSPC, "the archive needs more space than is free")
        name = _name(entry.name)
        if entry.type == FILE:
            files[name] = _store(folder / str(number), entry, data)
        elif entry.type in (HARD_LINK, SYMLINK):
            base = posixpath.dirname(name) if entry.type == SYMLINK else ""
            links[name] = _name(posixpath.join(base, entry.link))
    if not files:
        raise InvalidArgument("the archive holds no files: it is no image archive")
    return {"files": files, "links": links}


def _name(name: str) -> str:
    return posixpath.normpath(name).lstrip("/")


def _store(path: Path, entry: Entry, data: Data) -> dict[str, Any]:
    writer = BlobWriter(path)
    for view in data():
        writer.write(bytes(view))
    return {"file": path.name, "size": entry.size, "digest": writer.finish()}
