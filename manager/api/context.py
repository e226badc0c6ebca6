"""What the endpoints work with, and how they change the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from common.errors import ShoalError, Unavailable, VersionConflict
from manager.store.base import Change, Store, View

if TYPE_CHECKING:
    from manager.dispatcher.dispatcher import Dispatcher
    from manager.members import Group
    from manager.vault import Vault

T = TypeVar("T")
ATTEMPTS = 50


@dataclass(frozen=True)
class Context:
    """One manager's parts, for everything that serves a request.

    `node_id` is the node it runs on, `pools` what a new cluster's networks are cut from.
    """

    store: Store
    dispatcher: Dispatcher
    vault: Vault
    group: Group
    node_id: str
    pools: Sequence[str]

    @property
    def view(self) -> View:
        return self.store.view()

    async def transact(self, build: Callable[[View], tuple[Sequence[Change], T]]) -> T:
        """Commit what `build` makes of a view, again on a fresh view while others change the same objects in between.

        `build` raises what the user has to be told; its second result is returned. What it refuses on a view that may be
        older than what other managers acknowledged, it is asked again on one that is not.
        """
        current = False
        for _ in range(ATTEMPTS):
            try:
                changes, result = build(self.store.view())
            except ShoalError:
                if current:
                    raise
                await self.store.barrier()
                current = True
                continue
            try:
                await self.store.commit(changes)
            except VersionConflict:
                continue
            return result
        raise Unavailable("the objects change too often right now: try again")
