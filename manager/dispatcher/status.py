"""What workers report goes into the store: task statuses, forward only, in batches that wait for the commit before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from common.errors import NoSpace, Unavailable, VersionConflict
from common.model import Task, TaskState, TaskStatus
from common.wire import TaskUpdate
from manager.dispatcher.standing import Standing
from manager.store.base import Put, Store, View

log = structlog.get_logger()
BATCH = 500  # tasks in one commit
UNWRITTEN = "this manager cannot commit what its nodes report"
RETRY = 0.5  # seconds before the next try where no quorum answers, or the disk is full


class StatusWriter:
    """Bounded by the number of tasks: a later status of a task replaces an earlier one that is not committed."""

    def __init__(self, store: Store, standing: Standing) -> None:
        self._store = store
        self._standing = standing
        self._waiting: dict[str, tuple[str, TaskStatus]] = {}  # task → (node that says so, status)
        self._filled = asyncio.Event()

    def put(self, node_id: str, updates: Sequence[TaskUpdate]) -> None:
        for update in updates:
            self._waiting[update.task_id] = (node_id, update.status)
        self._filled.set()

    async def run(self) -> None:
        while True:
            await self._filled.wait()
            batch = {id: self._waiting.pop(id) for id in list(self._waiting)[:BATCH]}
            if not self._waiting:
                self._filled.clear()
            await self._commit(batch)

    async def _commit(self, batch: Mapping[str, tuple[str, TaskStatus]]) -> None:
        """Loops change the same tasks: a conflict means smaller batches on a fresh view, down to single tasks."""
        pieces = [dict(batch)]
        while pieces:
            piece = pieces.pop()
            wanted = changes(self._store.view(), piece)
            try:
                await self._store.commit(wanted)
            except VersionConflict:
                items = list(piece.items())
                middle = (len(items) + 1) // 2
                pieces += [dict(half) for half in (items[:middle], items[middle:]) if half]
            except (Unavailable, NoSpace):
                self._standing.bad(UNWRITTEN)
                pieces.append(piece)
                await asyncio.sleep(RETRY)
            else:
                self._standing.good(UNWRITTEN)
                _tell(wanted)


def _tell(written: Sequence[Put]) -> None:
    """A task that failed is news for whoever reads the cluster's logs."""
    for task in (put.object for put in written):
        if isinstance(task, Task) and task.status.state in (TaskState.FAILED, TaskState.REJECTED):
            log.info(
                "task failed",
                node=task.node_id,
                service=task.service_id,
                task=task.id,
                state=task.status.state,
                error=task.status.err,
            )


def changes(view: View, batch: Mapping[str, tuple[str, TaskStatus]]) -> list[Put]:
    """The tasks that these statuses change: those of the node that reports, never backwards, never after the end."""
    found = []
    for id, (node_id, status) in batch.items():
        task = view.get(Task, id)
        if task is not None and task.node_id == node_id and forward(task.status, status):
            found.append(Put(msgspec.structs.replace(task, status=status)))
    return found


def forward(old: TaskStatus, new: TaskStatus) -> bool:
    """True where `new` is news from a worker: a later state, or more about the same one."""
    if new.state.order <= TaskState.ASSIGNED.order:
        return False
    if new.state == old.state:
        return new != old
    return new.state.order > old.state.order and not old.state.terminal
