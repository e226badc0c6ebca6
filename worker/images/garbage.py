"""Garbage collection: layers and blobs that no image, container or work under way names any more are removed.

What an unfinished pull has made (leases.py) counts as named for a while, so that the next attempt goes on from there.
Nothing is deleted by hand elsewhere: whoever drops a reference calls collect().
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from worker.images.catalog import Catalog
from worker.images.layers import Layers
from worker.images.layout import Layout, remove_tree
from worker.images.leases import Leases
from worker.images.overlay import mounts_below
from worker.images.pins import Pins
from worker.images.rootfs import Roots
from worker.images.syscalls import MNT_DETACH, UMOUNT_NOFOLLOW, unmount


class Garbage:
    def __init__(self, layout: Layout, catalog: Catalog, layers: Layers, roots: Roots, pins: Pins) -> None:
        self._layout = layout
        self._catalog = catalog
        self._layers = layers
        self._roots = roots
        self._pins = pins
        self.leases = Leases(layout, pins)

    async def clean_start(self) -> None:
        """What a crash left: a trial's mount, uploads, layers on their way in or out. Then all else that nobody names."""
        for point in mounts_below(self._layout.layers):
            await asyncio.to_thread(unmount, str(point), MNT_DETACH | UMOUNT_NOFOLLOW)
        for folder in (*self._layout.layers.glob("tmp-*"), *self._layout.uploads.iterdir()):
            await remove_tree(folder)
        known = {self._layout.layer(layer.chain) for layer in self._layers.all()}
        for folder in self._layout.layers.iterdir():
            if folder not in known and folder.name not in ("l", "init"):
                await remove_tree(folder)
        self.leases.expire()
        await self.collect()

    async def collect(self) -> list[str]:
        """Remove what nobody names; return the chain ids of the removed layers, highest first."""
        removed, graves = self._detach()
        if graves:
            await remove_tree(*graves)
        return removed

    def _detach(self) -> tuple[list[str], list[Path]]:
        """In one step without waiting: what is chosen here cannot be named by anybody meanwhile."""
        live = set(self._live_chains())
        dead = [layer for layer in self._layers.all() if layer.chain not in live and layer.chain not in self._pins]
        dead.sort(key=lambda layer: self._depth(layer.chain), reverse=True)
        graves = [self._layers.detach(layer.chain) for layer in dead]
        graves += self._detach_blobs()
        return [layer.chain for layer in dead], graves

    def _detach_blobs(self) -> list[Path]:
        """Moved aside here, removed later: unlinking a large file takes its time."""
        leased = self.leases.names()
        keep = set(self._live_blobs()) | leased
        dead = [blob for blob in self._layout.blobs.iterdir() if not self._needed(f"sha256:{blob.name}", keep)]
        dead += [part for part in self._layout.parts.iterdir() if not self._needed(f"sha256:{part.name}", leased)]
        return [blob.rename(self._layout.blob_grave()) for blob in dead]

    def _needed(self, digest: str, live: set[str]) -> bool:
        return digest in live or digest in self._pins

    def _depth(self, chain: str) -> int:
        depth = 0
        while chain and chain in self._layers:
            chain, depth = self._layers.get(chain).parent, depth + 1
        return depth

    def _live_chains(self) -> Iterator[str]:
        for stored in self._catalog:
            yield from stored.chains
        for record in self._roots.records():
            yield from record.chains
        yield from self.leases.names()

    def _live_blobs(self) -> Iterator[str]:
        for stored in self._catalog:
            yield stored.id
            yield stored.record.manifest
            yield from (layer.digest for layer in stored.manifest.layers)
        for layer in self._layers.all():
            yield layer.digest
