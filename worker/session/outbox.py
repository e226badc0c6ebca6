"""Statuses on their way to a manager: the latest of each task, in the order in which the tasks changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from common.model import TaskStatus
from common.wire import StatusBatch, TaskUpdate

GATHER = 0.01  # seconds that a batch waits for company: one commit at the manager is dearer than the wait
BATCH = 500  # updates in one message


class Outbox:
    """Bounded by the number of tasks: a later status of a task replaces an earlier one that was not sent."""

    def __init__(self) -> None:
        self._waiting: dict[str, TaskStatus] = {}
        self._filled = asyncio.Event()

    def put(self, changes: Mapping[str, TaskStatus]) -> None:
        self._waiting.update(changes)
        if self._waiting:
            self._filled.set()

    def clear(self) -> None:
        """Who was to hear it is nobody's manager any more."""
        self._waiting.clear()
        self._filled.clear()

    async def take(self) -> StatusBatch:
        """Wait for something to send."""
        await self._filled.wait()
        await asyncio.sleep(GATHER)
        sent = list(self._waiting.items())[:BATCH]
        for task_id, _ in sent:
            del self._waiting[task_id]
        if not self._waiting:
            self._filled.clear()
        return StatusBatch(updates=[TaskUpdate(task_id=task_id, status=status) for task_id, status in sent])
