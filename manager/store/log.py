"""The boundary under the store: a durable, ordered log of entries that every replica applies alike.

A Log knows nothing of what its entries mean; the Machine knows nothing of disks, terms and members. Raft, memory and
foreign engines stand behind this Protocol and pass one conformance suite (tests/conformance/test_log.py).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from common.errors import ShoalError


class Machine(Protocol):
    """The deterministic state machine that a log drives: same snapshot and entries, same state, on every replica."""

    def apply(self, index: int, data: bytes) -> ShoalError | None:
        """Take in the committed entry at `index`. Returns why it changed nothing, None where it took effect."""

    def snapshot(self) -> Callable[[], bytes]:
        """Capture the present state at once; the returned function encodes it and may run in another thread."""

    def restore(self, index: int, data: bytes) -> None:
        """Become the state that `snapshot` captured after the entry at `index`."""


class Log(Protocol):
    def run(self, machine: Machine) -> AbstractAsyncContextManager[None]:
        """Replay what is durable into `machine`, then follow, as long as the context is open. A fault of the log
        (a disk that fails, a corrupt file) cancels the body and is raised from the context."""

    async def propose(self, data: bytes, *, leading: bool = False) -> int:
        """Commit one entry durably; return its index once this replica's machine has applied it.

        Raises what `apply` returned, and Unavailable where no quorum took the entry; it may then still commit later.
        With `leading`, the entry is taken only by this replica as the leader that it is at the moment of the call, and
        is never passed on to another: a leader that was replaced meanwhile gets Unavailable.
        """

    async def barrier(self) -> None:
        """Return once this replica has applied all that was committed anywhere before the call. Raises Unavailable."""

    def is_leader(self) -> bool: ...

    async def leadership(self, wanted: bool) -> None:
        """Return once `is_leader()` is `wanted`."""
