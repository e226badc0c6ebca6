"""Files of this machine as a tar stream, piece by piece, never whole in memory."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator

from cli.errors import CliError

PIECE = 256 * 1024


def pack(source: str, name: str) -> Iterator[bytes]:
    """The archive of a file or folder, its top named `name` ("" for a folder whose content is meant)."""
    with tarfile.TarFile(fileobj=io.BytesIO(), mode="w") as archive:
        for path, member_name in _walk(source, name or "."):
            try:
                if not stat.S_ISSOCK(os.lstat(path).st_mode):  # tar has no sockets
                    yield from _member(path, archive.gettarinfo(path, member_name))
            except OSError as error:
                raise CliError(f"cannot read {path}: {error.strerror or error}") from None
    yield bytes(2 * tarfile.BLOCKSIZE)


def _walk(source: str, name: str) -> Iterator[tuple[str, str]]:
    yield source, name
    if os.path.isdir(source) and not os.path.islink(source):
        with os.scandir(source) as entries:
            children = sorted(entry.name for entry in entries)
        for child in children:
            yield from _walk(os.path.join(source, child), f"{name}/{child}")


def _member(path: str, member: tarfile.TarInfo) -> Iterator[bytes]:
    if not member.isreg():
        yield member.tobuf(tarfile.PAX_FORMAT)
        return
    with open(path, "rb") as file:
        yield member.tobuf(tarfile.PAX_FORMAT)
        left = member.size
        while left:
            piece = file.read(min(left, PIECE))
            if not piece:
                raise CliError(f"cannot read {path}: it became shorter while it was copied")
            left -= len(piece)
            yield piece
    yield bytes(-member.size % tarfile.BLOCKSIZE)
