"""Layers: each extracted once per chain id, whatever images share it. Who still needs one is worker/images/garbage.py's.

A chain id names a layer together with all below it (OCI image specification).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from common.durable import sync_folder, write_file
from common.errors import InvalidArgument
from worker.images.jobs import Source, run_job
from worker.images.layout import Layout, disk_errors, remove_tree
from worker.images.pins import Hold

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """`size`: bytes of its files; `digest`, `blob_size`, `media_type`: of the blob that holds its tar; `link`: its short name."""

    chain: str
    parent: str  # chain id of the layer below, empty for the lowest
    diff_id: str
    digest: str
    media_type: str
    blob_size: int
    size: int
    link: str


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The chain id of each layer, lowest first."""
    chains: list[str] = []
    for diff_id in diff_ids:
        chains.append(_chain(chains[-1] if chains else "", diff_id))
    return chains


class WrongDigest(InvalidArgument):
    """A blob's bytes are not those that its digest names."""


class Layers:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._layers: dict[str, Layer] = {}

    def start_up(self) -> None:
        """Find the layers that are complete; only those have a name that is not tmp-*."""
        for record in self._layout.layers.glob("*/layer.json"):
            if record.parent.name.startswith("tmp-"):
                continue  # its daemon died just before it had its name
            layer = msgspec.json.decode(record.read_bytes(), type=Layer)
            self._layers[layer.chain] = layer
        links = {layer.link for layer in self._layers.values()}
        for link in self._layout.links.iterdir():
            if link.name not in links and link.name != "init":
                link.unlink()

    def __contains__(self, chain: str) -> bool:
        return chain in self._layers

    def all(self) -> list[Layer]:
        return list(self._layers.values())

    def get(self, chain: str) -> Layer:
        return self._layers[chain]

    def folder(self, chain: str) -> Path:
        return self._layout.layer(chain) / "diff"

    async def extract(self, hold: Hold, parent: str, source: Source, *, diff_id: str = "") -> Layer:
        """Make the layer that `source` (a tar, plain or compressed) is, above the chain `parent`, which `hold` pins.

        The new layer is pinned too. Raises InvalidArgument where it is not the one that `diff_id` asks for.
        """
        return await self._make(hold, "layer", parent, source, diff_id, max_bytes=self._layout.free_bytes())

    async def commit(self, hold: Hold, parent: str, upper: Path) -> Layer:
        """Make a layer of what an overlay's upper folder holds."""
        return await self._make(hold, "commit", parent, None, "", upper=str(upper))

    async def pull(
        self, hold: Hold, parent: str, blob: Path, growth: AsyncIterator[bytes], *, digest: str, diff_id: str
    ) -> Layer:
        """Make the layer of a blob that still arrives in the file `blob`, which then becomes the store's.

        `growth` tells how much of it is there (layerwork.follow). Raises WrongDigest where the bytes are not those of `digest`.
        """
        room = self._layout.free_bytes()
        return await self._make(hold, "pulled", parent, growth, diff_id, digest=digest, blob=str(blob), max_bytes=room)

    async def _make(
        self, hold: Hold, job: str, parent: str, source: Source, diff_id: str, *, digest: str = "", **options: Any
    ) -> Layer:
        with disk_errors("the layer"):
            folder = self._layout.new_layer()
        try:
            options = {"folder": str(folder / "diff"), "blob": str(folder / "blob"), **options}
            made = await run_job(job, source, **options)
            if digest and made["digest"] != digest:
                raise WrongDigest(
                    f"filesystem layer verification failed for digest {digest}: the content is {made['digest']}"
                )
            if diff_id and made["diff_id"] != diff_id:
                raise InvalidArgument(f"a layer's content is {made['diff_id']}, but its image says {diff_id}")
            chain = _chain(parent, made["diff_id"])
            layer = msgspec.convert({**made, "chain": chain, "parent": parent, "link": self._new_link()}, Layer)
            hold.add(chain, layer.digest)
            with disk_errors("the layer"):
                return await self._adopt(folder, layer, Path(options["blob"]))
        finally:
            if folder.exists():
                await remove_tree(folder)

    async def _adopt(self, folder: Path, layer: Layer, blob: Path) -> Layer:
        """Give the finished layer its name. Two makers of the same layer may meet here: the first one wins."""
        await asyncio.to_thread(self._write, folder, layer, blob)
        if layer.chain in self._layers:
            return self._layers[layer.chain]
        os.symlink(f"../{layer.chain.removeprefix('sha256:')}/diff", self._layout.links / layer.link)
        os.rename(folder, self._layout.layer(layer.chain))
        self._layers[layer.chain] = layer
        await asyncio.to_thread(sync_folder, self._layout.layers)
        return layer

    def _write(self, folder: Path, layer: Layer, blob: Path) -> None:
        os.rename(blob, self._layout.blob(layer.digest))
        sync_folder(self._layout.blobs)
        write_file(folder / "layer.json", msgspec.json.encode(layer))

    def _new_link(self) -> str:
        used = {layer.link for layer in self._layers.values()}
        while (name := "".join(secrets.choice(_ALPHABET) for _ in range(4))) in used:
            pass
        return name

    def detach(self, chain: str) -> Path:
        """Take the layer out of the store at once; the caller removes the folder that is returned."""
        layer = self._layers.pop(chain)
        grave = self._layout.layer_grave()
        os.rename(self._layout.layer(chain), grave)
        (self._layout.links / layer.link).unlink(missing_ok=True)
        return grave


def _chain(parent: str, diff_id: str) -> str:
    return "sha256:" + hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest() if parent else diff_id
