"""Does the reconciler's actions: bounded concurrency, every result comes back as an event.

Order per task is the reconciler's (one action under way per task). Stopping and removing are tried until they succeed,
because a container that cannot be removed must not be forgotten; preparing and starting fail once, with the reason.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import structlog
from structlog.contextvars import bound_contextvars

from common.errors import ShoalError
from common.wire import Assignments
from worker.session.actions import Action, Done, Kind
from worker.session.base import Seen, TaskHost
from worker.session.measures import Measures

STARTS_PER_CPU = 4
RETRY = (0.5, 30.0)  # seconds: first and longest pause before a stop or remove is tried again

log = structlog.get_logger()


class Executor:
    """Runs actions in the caller's TaskGroup; `report` receives each action's Done.

    `drained` is waited for before a task is stopped: it returns once no new connections are led to the task.
    """

    def __init__(
        self,
        host: TaskHost,
        group: asyncio.TaskGroup,
        assignments: Callable[[], Assignments],
        report: Callable[[Done], None],
        drained: Callable[[], Awaitable[None]],
        measures: Measures | None = None,
    ) -> None:
        self._host = host
        self._group = group
        self._assignments = assignments
        self._report = report
        self._drained = drained
        self._measures = measures or Measures()
        self._working = asyncio.Semaphore(STARTS_PER_CPU * (os.cpu_count() or 1))

    def submit(self, action: Action) -> None:
        self._group.create_task(self._run(action), name=f"{action.kind} task {action.task_id}")

    async def _run(self, action: Action) -> None:
        """Whatever is logged on the way says for which task."""
        task = action.task or self._assignments().tasks.get(action.task_id)
        about = {"task": action.task_id, "service": task.service_id} if task else {"task": action.task_id}
        with bound_contextvars(**about):
            await self._act(action)

    async def _act(self, action: Action) -> None:
        if action.kind in (Kind.STOP, Kind.REMOVE):
            self._report(Done(action=action, seen=await self._insist(action)))
            return
        try:
            async with self._working:
                seen = await self._do(action)
        except (ShoalError, OSError) as error:
            log.warning("task failed", action=action.kind, error=str(error))
            self._report(Done(action=action, error=str(error) or type(error).__name__))
        else:
            self._report(Done(action=action, seen=seen))

    async def _insist(self, action: Action) -> Seen | None:
        pause, longest = RETRY
        while True:
            try:
                return await self._do(action)
            except (ShoalError, OSError) as error:
                log.warning("will try again", action=action.kind, error=str(error), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _do(self, action: Action) -> Seen | None:
        begin, outcome = time.perf_counter(), "failed"
        try:
            seen = await self._done(action)
            outcome = "done"
            return seen
        finally:
            self._measures.acted(action.kind, outcome, time.perf_counter() - begin)

    async def _done(self, action: Action) -> Seen | None:
        match action.kind:
            case Kind.PREPARE:
                assert action.task is not None
                return await self._host.prepare(action.task, self._assignments())
            case Kind.START:
                return await self._host.start(action.task_id)
            case Kind.STOP:
                await self._drained()
                return await self._host.stop(action.task_id)
            case Kind.REMOVE:
                await self._host.remove(action.task_id)
                return None
