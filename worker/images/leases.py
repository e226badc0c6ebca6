"""Leases: what an unfinished pull has made already, so that it can go on later, also after a crash.

One file for each image on its way. It counts for the garbage collection until the pull is complete, or a day later.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from common.durable import write_file
from worker.images.layout import Layout, disk_errors
from worker.images.pins import Pins

_LIFE = 24 * 3600.0  # seconds


class Leases:
    def __init__(self, layout: Layout, pins: Pins) -> None:
        self._layout = layout
        self._pins = pins

    def take(self, image: str, names: Iterable[str]) -> None:
        """Name the chain ids and digests that the image (its config's digest) is to have."""
        with disk_errors("the image"):
            write_file(self._layout.leases / f"{image.removeprefix('sha256:')}.json", msgspec.json.encode(list(names)))

    def drop(self, image: str) -> None:
        """Idempotent."""
        (self._layout.leases / f"{image.removeprefix('sha256:')}.json").unlink(missing_ok=True)

    def drop_idle(self) -> None:
        """All whose pull is not under way now."""
        for file in self._layout.leases.glob("*.json"):
            if f"sha256:{file.stem}" not in self._pins:
                file.unlink()

    def expire(self) -> None:
        for file in self._layout.leases.glob("*.json"):
            if time.time() - file.stat().st_mtime > _LIFE:
                file.unlink()

    def names(self) -> set[str]:
        """All that some lease names."""
        found: set[str] = set()
        for file in self._layout.leases.glob("*.json"):
            found.update(msgspec.json.decode(file.read_bytes(), type=list[str]))
        return found
