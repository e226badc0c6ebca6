"""The worker's set of assignments: kept in step with the manager's stream, and on disk, so that work goes on without managers.

Secrets and configs with their data stay in memory: after a restart they come again with the first Complete. What to do
about the assignments is the reconciler's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from common.durable import write_file
from common.errors import ShoalError
from common.wire import Assignments, Complete, Incremental, digest

KINDS = tuple(field.name for field in msgspec.structs.fields(Assignments))
ON_DISK = ("tasks", "networks", "endpoints", "peers")


class Gap(ShoalError):
    """A message of the stream is missing: the session has to start anew."""

    code, status = "session_gap", 500


class AssignmentSet:
    """`current` is the set, `sequence` the last message in it. `confirmed`: a manager has told it since the start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.current = Assignments()
        self.sequence = 0
        self.confirmed = False
        self._joined = False

    def load(self) -> None:
        """Read the set of the last run; one that is missing or unreadable counts as empty."""
        try:
            self.current = msgspec.msgpack.decode(self._path.read_bytes(), type=Assignments)
        except (OSError, msgspec.MsgspecError):
            self.current = Assignments()

    def save(self) -> None:
        """Write the set durably, without secrets and configs. Blocks: call it in a thread."""
        kept = Assignments(**{kind: getattr(self.current, kind) for kind in ON_DISK})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self._path, msgspec.msgpack.encode(kept))

    def digest(self) -> str:
        """For Hello: what the worker holds; empty where it cannot hold everything (secrets are lost by a restart)."""
        return digest(self.current) if self.confirmed else ""

    def doubt(self) -> None:
        """The node is in another cluster: what it holds is not what that one assigns."""
        self.confirmed = False

    def clear(self) -> None:
        """Nothing is assigned, and nobody has to confirm it."""
        self.current, self.sequence, self.confirmed = Assignments(), 0, True

    def begin(self) -> None:
        """A new session: its first message may carry any number."""
        self._joined = False

    def apply(self, message: Complete | Incremental) -> bool:
        """True for the first message of a session. Raises Gap where messages before an Incremental are missing."""
        first = not self._joined
        if isinstance(message, Complete):
            self.current = message.assignments
        elif not first and message.sequence != self.sequence + 1:
            raise Gap(f"assignments jumped from message {self.sequence} to {message.sequence}")
        else:
            self.current = _merge(self.current, message)
        self.sequence = message.sequence
        self.confirmed = self._joined = True
        return first


def _merge(current: Assignments, message: Incremental) -> Assignments:
    merged: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        objects = {**getattr(current, kind), **getattr(message.changed, kind)}
        for gone in message.removed.get(kind, ()):
            objects.pop(gone, None)
        merged[kind] = objects
    return Assignments(**merged)
