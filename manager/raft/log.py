"""The Raft log as the store sees it: files in one folder, a member in the group, entries to the machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from common.errors import Unavailable
from manager.raft.core import Config, Core
from manager.raft.node import Node, Options
from manager.raft.storage import Storage
from manager.raft.transport import NoTransport, Transport
from manager.store.log import Machine


class RaftLog:
    """`member` is this manager's node id. An empty `folder` begins a group of one."""

    def __init__(
        self, folder: Path, member: str, *, options: Options | None = None, transport: Transport | None = None
    ) -> None:
        self._folder = folder
        self._member = member
        self._options = options or Options()
        self._transport = transport or NoTransport()
        self._node: Node | None = None

    @asynccontextmanager
    async def run(self, machine: Machine) -> AsyncIterator[None]:
        storage = Storage(self._folder)
        try:
            core = await self._load(storage, machine)
            node = Node(core, storage, machine, self._transport, self._options)
            async with asyncio.TaskGroup() as group:
                group.create_task(node.run())
                self._node = node
                try:
                    await self._catch_up(core, node)
                    yield
                finally:
                    self._node = None
                    node.stop()
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            storage.close()

    async def propose(self, data: bytes, *, leading: bool = False) -> int:
        return await self._running().propose(data, leading=leading)

    async def barrier(self) -> None:
        await self._running().barrier()

    def is_leader(self) -> bool:
        return self._node is not None and self._node.is_leader()

    async def leadership(self, wanted: bool) -> None:
        await self._running().leadership(wanted)

    async def _load(self, storage: Storage, machine: Machine) -> Core:
        durable = await asyncio.to_thread(storage.load, Config(voters=frozenset([self._member])))
        if durable.snapshot.index:
            machine.restore(durable.snapshot.index, durable.snapshot.data)
        return Core(self._member, durable, Random(), self._options.core)

    async def _catch_up(self, core: Core, node: Node) -> None:
        """Alone, a member need not wait for anybody: it leads at once, and opens with all that it ever acknowledged."""
        if core.state.config.voters == {self._member}:
            core.campaign()
            await node.leadership(True)

    def _running(self) -> Node:
        if self._node is None:
            raise Unavailable("the log is closed: no change can be committed")
        return self._node


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong, as it was raised: a failure of the body must reach the caller as itself."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
