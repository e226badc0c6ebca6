"""The volumes' boundary: named places for data that outlive containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec


class VolumeInfo(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """As GET /volumes shows it."""

    name: str
    driver: str = "local"
    mountpoint: str = ""
    created_at: str = ""
    labels: dict[str, str] | None = None
    scope: str = "local"
    options: dict[str, str] | None = None
    status: dict[str, Any] | None = None
    usage_data: dict[str, int] | None = None


class Volumes(Protocol):
    async def create(
        self,
        name: str,
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> VolumeInfo:
        """Idempotent for the same driver and options, Conflict for others. An empty name: anonymous."""

    def get(self, name: str) -> VolumeInfo: ...

    def list(self) -> Sequence[VolumeInfo]: ...

    async def acquire(self, name: str, container_id: str) -> Path:
        """Mount it where its options ask for that, remember its user; return the folder to bind."""

    async def release(self, name: str, container_id: str) -> None:
        """Idempotent; the last user's release unmounts."""

    def users(self, name: str) -> Sequence[str]: ...

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Conflict where a container uses it."""

    async def fill(self, name: str, source: Path) -> None:
        """Copy an image's folder into a volume that is still empty (what `volume-nocopy` switches off)."""

    async def recover(self, users: Mapping[str, Sequence[str]]) -> None:
        """After a daemon's restart: users by volume name; mounts nobody uses are undone."""
