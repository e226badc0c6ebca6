"""Where images lie below the daemon's root folder, and how folders are taken away.

images/blobs/sha256/<hex>   layers as they came (gzip, zstd), configs, manifests
images/records/<hex>.json   one per image: what is not in its config
images/tags.json            name → image id
images/tmp/                 uploads on their way
images/parts/<hex>          blobs that a registry has sent a part of
images/leases/<hex>.json    what an unfinished pull has made already
layers/<chain id>/          diff/ (the layer extracted once) and layer.json
layers/l/<short>            links to the diff folders, short enough for 500 of them in one mount's options
layers/tmp-*                layers on their way in or out
rootfs/<container id>/      upper/, work/, merged/ and rootfs.json
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import NoSpace, ShoalError


class Layout:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "images" / "blobs" / "sha256"
        self.records = root / "images" / "records"
        self.tags = root / "images" / "tags.json"
        self.uploads = root / "images" / "tmp"
        self.parts = root / "images" / "parts"
        self.leases = root / "images" / "leases"
        self.layers = root / "layers"
        self.links = root / "layers" / "l"
        self.rootfs = root / "rootfs"

    def make(self) -> None:
        for folder in (self.blobs, self.records, self.uploads, self.parts, self.leases, self.links, self.rootfs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)

    def blob(self, digest: str) -> Path:
        return self.blobs / digest.removeprefix("sha256:")

    def part(self, digest: str) -> Path:
        return self.parts / digest.removeprefix("sha256:")

    def record(self, image: str) -> Path:
        return self.records / f"{image.removeprefix('sha256:')}.json"

    def layer(self, chain: str) -> Path:
        return self.layers / chain.removeprefix("sha256:")

    def new_upload(self) -> Path:
        folder = self.blob_grave()
        folder.mkdir(mode=0o700)
        return folder

    def new_layer(self) -> Path:
        folder = self.layer_grave()
        folder.mkdir(mode=0o711)
        return folder

    def layer_grave(self) -> Path:
        """A free name that the next start cleans up: renaming to it needs no space on a full disk."""
        return self.layers / f"tmp-{secrets.token_hex(8)}"

    def blob_grave(self) -> Path:
        return self.uploads / secrets.token_hex(8)

    def free_bytes(self) -> int:
        """What a new layer may take."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn the kernel's word for a full disk into the user's: NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                f"no space left on the disk for {what}: remove what is not needed (shoal system prune)"
            ) from None
        raise


async def remove_tree(*paths: Path) -> None:
    """Remove folders with all in them, however deep, and files; stays on their file systems. Idempotent."""
    process = await asyncio.create_subprocess_exec(
        "rm", "-rf", "--one-file-system", "--", *map(str, paths), stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()
    if process.returncode:
        raise ShoalError(f"removing files failed: {complaint.decode(errors='replace').strip()}")
