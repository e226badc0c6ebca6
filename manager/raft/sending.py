"""Snapshots on their way to followers: each is read and sent by a task of its own, so that nothing waits behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from common.errors import Unavailable
from manager.raft.core import Core, InstallSnapshot
from manager.raft.storage import Storage
from manager.raft.transport import Transport


class Sending:
    """`wake` tells the driver that the core has news."""

    def __init__(self, core: Core, storage: Storage, transport: Transport, wake: Callable[[], None]) -> None:
        self._core = core
        self._storage = storage
        self._transport = transport
        self._wake = wake
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def start(self, group: asyncio.TaskGroup, message: InstallSnapshot) -> None:
        """Send the newest snapshot to where `message`, which has no data, should go; once at a time for each member."""
        if message.to not in self._under_way:
            self._under_way[message.to] = group.create_task(self._send(message), name=f"snapshot for {message.to}")

    def busy(self, id: str) -> bool:
        return id in self._under_way

    def stop(self) -> None:
        for task in self._under_way.values():
            task.cancel()

    def tick(self) -> None:
        for id in self._under_way:
            self._core.snapshot_under_way(id)

    async def _send(self, message: InstallSnapshot) -> None:
        try:
            snapshot, data = await asyncio.to_thread(self._storage.open_snapshot)
            await self._transport.send_snapshot(msgspec.structs.replace(message, snapshot=snapshot), data)
        except Unavailable:
            self._core.snapshot_lost(message.to)
        finally:
            del self._under_way[message.to]
            self._wake()
