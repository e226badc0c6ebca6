"""Small deeds on files that log and snapshots share."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import NoSpace


@contextmanager
def no_space(folder: Path) -> Iterator[None]:
    """Turn a full disk into NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpace(f"the disk that holds {folder} is full: free some space, then changes go on") from error


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
