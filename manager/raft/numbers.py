"""What a member can be measured by, for metrics."""

from __future__ import annotations

import msgspec


class Numbers(msgspec.Struct, frozen=True):
    """Indices of entries; `snapshot` is that of the newest one, `waiting` counts proposals, sizes are in bytes on disk."""

    leader: str
    term: int
    commit: int
    applied: int
    last: int
    snapshot: int
    waiting: int
    log_bytes: int
    snapshot_bytes: int
