"""The parts of the image store, for the modules that do its work, and the one way in which an image is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from worker.engine.events import EventBus
from worker.images.blobs import Blobs
from worker.images.catalog import Catalog, Record, Stored
from worker.images.config import CONFIG_TYPE, Descriptor, Manifest, digest_of, parse_config
from worker.images.garbage import Garbage
from worker.images.layers import Layer, Layers
from worker.images.layout import Layout
from worker.images.pins import Hold, Pins
from worker.images.rootfs import Roots


@dataclass(frozen=True)
class Parts:
    layout: Layout
    events: EventBus
    pins: Pins
    blobs: Blobs
    layers: Layers
    catalog: Catalog
    roots: Roots
    garbage: Garbage

    async def add(
        self, hold: Hold, config: bytes, layers: Sequence[Layer], *, parent: str = "", manifest: bytes = b""
    ) -> Stored:
        """Make an image of a config and its layers; the same config again is the same image. Blobs first, the record last.

        A `manifest` that came with the image is kept where the store has the very blobs that it names.
        """
        image = digest_of(config)
        if image in self.catalog:
            return self.catalog[image]
        if not manifest or not _names_exactly(manifest, layers):
            manifest = _write_manifest(image, config, layers)
        await self.blobs.put(hold, config)
        record = Record(id=image, manifest=await self.blobs.put(hold, manifest), parent=parent)
        stored = Stored(record, parse_config(config), msgspec.json.decode(manifest, type=Manifest))
        self.catalog.add(stored)
        return stored


def _names_exactly(manifest: bytes, layers: Sequence[Layer]) -> bool:
    named = msgspec.json.decode(manifest, type=Manifest).layers
    return [layer.digest for layer in named] == [layer.digest for layer in layers]


def _write_manifest(image: str, config: bytes, layers: Sequence[Layer]) -> bytes:
    blobs = [Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.blob_size) for layer in layers]
    described = Descriptor(media_type=CONFIG_TYPE, digest=image, size=len(config))
    return msgspec.json.encode(Manifest(config=described, layers=blobs))
