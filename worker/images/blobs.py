"""Content-addressed blobs: configs, manifests and layers under their sha256. Who still needs one is garbage.py's question."""

from __future__ import annotations

import asyncio
from pathlib import Path

from common.durable import write_file
from worker.images.config import digest_of
from worker.images.layout import Layout, disk_errors
from worker.images.pins import Hold


class Blobs:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def path(self, digest: str) -> Path:
        return self._layout.blob(digest)

    def __contains__(self, digest: str) -> bool:
        return self._layout.blob(digest).exists()

    def read(self, digest: str) -> bytes:
        return self._layout.blob(digest).read_bytes()

    async def put(self, hold: Hold, data: bytes) -> str:
        """Keep a small blob; return its digest, pinned by `hold`."""
        digest = digest_of(data)
        hold.add(digest)
        with disk_errors("the image"):
            await asyncio.to_thread(write_file, self._layout.blob(digest), data)
        return digest
