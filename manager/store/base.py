"""The store's boundary: what loops, API and dispatcher see of the cluster's state.

Truth is one store: read it by a View, change it by a transaction (a list of Changes that commits as one or fails as
one).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from common.model import Cluster, Config, Network, Node, Secret, Service, Task, Volume

Stored = Cluster | Node | Service | Task | Network | Volume | Secret | Config
KINDS: tuple[type, ...] = (Cluster, Node, Service, Task, Network, Volume, Secret, Config)
T = TypeVar("T", Cluster, Node, Service, Task, Network, Volume, Secret, Config)


class Put(msgspec.Struct, frozen=True, gc=False):
    """Create or replace one object. `object.version.index` is the version that the writer saw, 0 for a new object.

    The commit stamps the new version and `updated_at` (`created_at` too on creation); a writer leaves them alone.
    """

    object: Stored


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove the object, which must be at the version that `object` carries."""

    object: Stored


Change = Put | Delete


class Changed(msgspec.Struct, frozen=True, gc=False):
    """One object's part in a commit: `before` None on creation, `after` None on removal."""

    before: Stored | None
    after: Stored | None

    @property
    def object(self) -> Stored:
        found = self.after or self.before
        assert found is not None
        return found


class Event(msgspec.Struct, frozen=True, gc=False):
    """One commit: all that it changed, at one revision."""

    revision: int
    changes: tuple[Changed, ...]


class View(Protocol):
    """The state at one revision. Objects are immutable; a view is consistent as long as its reader does not await."""

    @property
    def revision(self) -> int: ...

    @property
    def now(self) -> datetime: ...

    def get(self, kind: type[T], id: str) -> T | None: ...

    def all(self, kind: type[T]) -> Iterable[T]: ...

    def find(self, kind: type[T], index: str, key: str) -> Sequence[T]:
        """Objects by index, oldest first.

        All but Task: "name" (case-insensitive). Node: "hostname". Task: "service", "node", "slot", "desired" and "state"
        (TaskState values). Service, Task and Node (by its guests and its own attachments): "network" (network ids).
        Service and Task: "secret", "config" (ids that the present spec refers to). Service and Network: "pending_delete"
        ("true"). A slot is f"{service_id}.{slot}", of a global service f"{service_id}.{node_id}".
        """

    def count(self, kind: type[T]) -> int: ...

    def sizes(self, kind: type[T], index: str) -> Mapping[str, int]:
        """How many objects each key of an index has, without looking at any of them."""


class Store(Protocol):
    """What every manager holds: the whole state in memory over a durable, ordered Log."""

    def view(self) -> View: ...

    async def commit(self, changes: Sequence[Change], *, leading: bool = False) -> int:
        """Commit as one; return the new revision. `leading`: only as the leader that this manager is now (see Log).

        Raises VersionConflict (an object changed since it was read, or a name is taken) with nothing changed, and
        Unavailable where no quorum answers, NoSpace where the disk is full: the changes may still commit later.
        """

    def watch(self) -> AsyncIterator[Event]:
        """Events of all commits after this call, in order, each exactly once."""

    async def barrier(self) -> None:
        """Return once the view holds everything that any manager committed before the call. Raises Unavailable."""

    def is_leader(self) -> bool: ...

    async def leadership(self, wanted: bool) -> None:
        """Return once `is_leader()` is `wanted`."""
