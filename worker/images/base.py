"""The image store's boundary: images by digest and tag, and the writable root file systems made from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from common.model.container import ContainerConfig


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image as the store knows it. `id` and `layers` (diff ids, lowest first) are "sha256:…"; `size` in bytes on disk."""

    id: str
    tags: tuple[str, ...] = ()  # full: docker.io/library/busybox:latest is shown as busybox:latest
    digests: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    config: ContainerConfig = ContainerConfig()
    architecture: str = ""
    os: str = "linux"
    created: datetime | None = None
    size: int = 0
    parent: str = ""


class FileChange(msgspec.Struct, frozen=True):
    """`kind` 0 modified, 1 added, 2 deleted (Docker's ChangeType)."""

    path: str
    kind: int


class ImageStore(Protocol):
    def resolve(self, reference: str) -> Image:
        """By tag, digest, id or a unique prefix of an id. Raises NotFound."""

    async def prepare(self, container_id: str, image: Image | None) -> Path:
        """Make the container's writable layer over the image's (None: over nothing); return where its root will be mounted."""

    async def mount(self, container_id: str) -> Path:
        """Mount the container's root file system; idempotent. Returns the mount point."""

    async def unmount(self, container_id: str) -> None:
        """Idempotent."""

    async def release(self, container_id: str) -> None:
        """Remove the container's writable layer, with its mount. Idempotent."""

    async def changes(self, container_id: str) -> Sequence[FileChange]: ...

    async def usage(self, container_id: str) -> tuple[int, int]:
        """(bytes in the writable layer, bytes of the whole root file system)."""

    async def commit(
        self,
        container_id: str,
        config: ContainerConfig,
        *,
        tag: str = "",
        comment: str = "",
        author: str = "",
    ) -> Image:
        """A new image from the container's root file system, one layer above its image."""

    def export(self, container_id: str) -> AsyncIterator[bytes]:
        """The whole root file system as a tar stream."""

    def in_use(self) -> dict[str, Any]: ...
