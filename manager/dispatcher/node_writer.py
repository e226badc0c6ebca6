"""What nodes say of themselves goes into the store: those that come at the same time in one commit, as a whole cluster may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from common.errors import VersionConflict
from common.model import Node
from manager.store.base import Put, Store

BATCH = 200  # nodes in one commit

Edit = Callable[[Node], Node]


class _Wish:
    def __init__(self, node_id: str, edit: Edit) -> None:
        self.node_id = node_id
        self.edit = edit
        self.done = False


class NodeWriter:
    """Whoever comes while another one's commit is on its way waits for it, and then writes for all that wait."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Wish] = []
        self._writing = asyncio.Lock()

    async def change(self, node_id: str, edit: Edit) -> None:
        """Return once the node is as `edit` makes it; nothing where it is so already, or gone. Raises Unavailable, NoSpace."""
        wish = _Wish(node_id, edit)
        self._waiting.append(wish)
        try:
            async with self._writing:
                if not wish.done:
                    await self._write(wish)
        finally:
            if not wish.done:
                self._waiting.remove(wish)

    async def alone(self, node_id: str, edit: Edit, *, leading: bool = False) -> None:
        """The same in a commit of its own, tried until no loop's change comes in between."""
        while (node := self._store.view().get(Node, node_id)) is not None:
            wanted = edit(node)
            if wanted == node:
                return
            try:
                await self._store.commit([Put(wanted)], leading=leading)
            except VersionConflict:
                continue
            return

    async def _write(self, own: _Wish) -> None:
        """A batch with `own` in it: those that wait longest first."""
        batch = self._waiting[:BATCH]
        if own not in batch:
            batch.append(own)
        try:
            await self._store.commit(self._changes(batch))
        except VersionConflict:
            await self.alone(own.node_id, own.edit)
            batch = [own]
        for wish in batch:
            wish.done = True
        self._waiting = [wish for wish in self._waiting if not wish.done]

    def _changes(self, batch: Sequence[_Wish]) -> list[Put]:
        view, wanted = self._store.view(), dict[str, Node]()
        for wish in batch:
            node = wanted.get(wish.node_id) or view.get(Node, wish.node_id)
            if node is not None:
                wanted[wish.node_id] = wish.edit(node)
        return [Put(node) for node in wanted.values() if node != view.get(Node, node.id)]
