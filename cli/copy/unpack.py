"""A container's tar stream unpacked on this machine, never outside the folder that was meant.

An archive from a container is not to be trusted: no member may be written through a link, and none may link to what lies
outside. Links themselves are made as they are.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress

from cli.copy.places import Landing
from cli.errors import CliError


class ChunkReader(io.RawIOBase):
    """A file over pieces of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            piece = next(self._chunks, b"")
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        whole = b"".join(parts)
        end = len(whole) if size < 0 else size
        self._rest = whole[end:]
        return whole[:end]


def unpack(chunks: Iterator[bytes], landing: Landing, *, owners: bool = False) -> None:
    """Unpack an archive, its top renamed to the landing's name. `owners`: keep user and group ids."""
    if not os.path.isdir(landing.folder):
        raise CliError(f"the folder {landing.folder} does not exist")
    try:
        with tarfile.open(fileobj=ChunkReader(chunks), mode="r|") as archive:
            _Unpacker(archive, landing, owners).run()
    except tarfile.TarError as error:
        raise CliError(f"the container's archive is broken: {error}") from None
    except OSError as error:
        raise CliError(f"cannot write {error.filename or landing.folder}: {error.strerror or error}") from None


class _Unpacker:
    def __init__(self, archive: tarfile.TarFile, landing: Landing, owners: bool) -> None:
        self._archive = archive
        self._root = os.path.realpath(landing.folder)
        self._name = landing.name
        self._owners = owners
        self._folders: list[tarfile.TarInfo] = []
        archive.extraction_filter = staticmethod(lambda member, _: member)

    def run(self) -> None:
        for member in self._archive:
            placed = self._placed(member)
            if placed is not None:
                self._extract(placed)
        for folder in reversed(self._folders):
            self._finish(folder)

    def _placed(self, member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        """The member under its new name, None for the top of an archive whose content alone is wanted."""
        name = self._renamed(member.name)
        if not name:
            return None
        changes = {"name": name} | ({} if self._owners else {"uid": None, "gid": None})
        if member.islnk():
            changes["linkname"] = self._renamed(member.linkname)
        return member.replace(**changes, deep=False)  # type: ignore[arg-type]

    def _renamed(self, name: str) -> str:
        """Without the archive's top component, below the landing's name."""
        parts = [part for part in name.split("/")[1:] if part not in ("", ".")]
        if ".." in parts or name.startswith("/"):
            raise CliError(f"the container's archive is unsafe: {name!r} leaves its folder")
        return "/".join([self._name, *parts] if self._name else parts)

    def _extract(self, member: tarfile.TarInfo) -> None:
        target = os.path.join(self._root, member.name)
        self._check_inside(os.path.dirname(target), member.name)
        if member.isdev() and not member.isfifo():
            raise CliError(f"cannot copy {member.name}: it is a device")
        if member.isdir():
            self._make_folder(target, member)
            return
        if member.islnk():
            self._check_inside(os.path.join(self._root, member.linkname), member.name)
        if os.path.isdir(target) and not os.path.islink(target):
            raise CliError(f"cannot overwrite the folder {target} by a file")
        with suppress(FileNotFoundError):
            os.unlink(target)
        self._archive.extract(member, self._root, numeric_owner=True)

    def _make_folder(self, target: str, member: tarfile.TarInfo) -> None:
        if os.path.islink(target) or (os.path.exists(target) and not os.path.isdir(target)):
            raise CliError(f"cannot overwrite {target}, which is no folder, by a folder")
        os.makedirs(target, mode=0o700, exist_ok=True)
        self._folders.append(member)

    def _finish(self, folder: tarfile.TarInfo) -> None:
        """Rights and times of a folder, once all is in it."""
        target = os.path.join(self._root, folder.name)
        self._check_inside(target, folder.name)
        if self._owners:
            os.chown(target, folder.uid, folder.gid)
        os.chmod(target, folder.mode & 0o7777)
        os.utime(target, (folder.mtime, folder.mtime))

    def _check_inside(self, path: str, name: str) -> None:
        real = os.path.realpath(path)
        if real != self._root and not real.startswith(self._root.rstrip("/") + "/"):
            raise CliError(f"the container's archive is unsafe: {name!r} leads out of {self._root} through a link")
