"""The reconciler at work: feeds it assignments, action results and container changes, and does what it asks for.

Everything here runs on the event loop without waiting, so the reconciler sees one event at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from common.model import TaskStatus
from common.wire import Assignments
from worker.session.actions import Action, Done, Kind
from worker.session.base import Seen, TaskHost
from worker.session.executor import Executor
from worker.session.measures import Measures
from worker.session.outbox import Outbox
from worker.session.reconciler import Reconciler


class Agent:
    """The tasks of this node. `outbox` receives every status that changes, `removed` is called after each removal.

    `drained`: see Executor.
    """

    def __init__(
        self,
        host: TaskHost,
        found: Mapping[str, Seen],
        outbox: Outbox,
        group: asyncio.TaskGroup,
        removed: Callable[[], None],
        drained: Callable[[], Awaitable[None]],
        measures: Measures | None = None,
    ) -> None:
        self._host = host
        self._removed = removed
        self._outbox = outbox
        self._reconciler = Reconciler(found)
        self._assignments = Assignments()
        self._executor = Executor(host, group, lambda: self._assignments, self._finish, drained, measures)
        self._moved = asyncio.Event()

    def assign(self, assignments: Assignments, *, confirmed: bool) -> None:
        """Take over the full set. `confirmed`: a manager told it, so containers of other tasks may be removed."""
        self._assignments = assignments
        now = datetime.now(UTC)
        actions = self._reconciler.assign(assignments, now)
        if confirmed:
            actions += self._reconciler.drop_orphans(now)
        self._go_on(actions)

    def report_all(self) -> None:
        """Send again what a manager may not know: after a session was lost, statuses may be lost with it."""
        self._outbox.put(self._reconciler.unreported())

    async def watch(self) -> None:
        """Follow the containers' own changes, for ever."""
        async for task_id, seen in self._host.watch():
            self._go_on(self._reconciler.observe(task_id, seen, datetime.now(UTC)))

    def networks_in_use(self) -> set[str]:
        """Networks that tasks may still have endpoints on, also tasks that are no longer assigned."""
        return self._reconciler.networks()

    async def container(self, task_id: str, *, wait: bool) -> str | None:
        """The id of the task's container, which was started; with `wait` as soon as it is. None where there is none."""
        while (found := self._reconciler.started_container(task_id)) is None and wait and task_id in self._reconciler:
            self._moved.clear()
            await self._moved.wait()
        return found

    async def idle(self) -> None:
        """Return once no task is left, after an assignment of none."""
        while len(self._reconciler):
            self._moved.clear()
            await self._moved.wait()

    def _finish(self, done: Done) -> None:
        self._go_on(self._reconciler.finish(done, datetime.now(UTC)))
        if done.action.kind is Kind.REMOVE:
            self._removed()

    def _go_on(self, actions: list[Action]) -> None:
        changes: dict[str, TaskStatus] = self._reconciler.take_changes()
        self._outbox.put(changes)
        self._moved.set()
        for action in actions:
            self._executor.submit(action)
