"""Logs of services and tasks: the tasks' own streams, merged as they arrive, in Docker's multiplexed frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

from aiohttp import web

from common import http, wire
from common.errors import InvalidArgument, ShoalError
from common.model import Service, Task, TaskState
from common.moments import moment
from manager.api.context import Context
from manager.api.lookup import find
from manager.specs import task_spec
from manager.store.base import Event

Line = tuple[Task, datetime, int, bytes]
STDERR = 2
AHEAD = 1000  # lines that are read ahead of a slow client


class Logs:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/services/{id}/logs", self.service), web.get("/tasks/{id}/logs", self.task)]

    async def service(self, request: web.Request) -> web.StreamResponse:
        service = find(self._context.view, Service, request.match_info["id"])
        tasks = self._context.view.find(Task, "service", service.id)
        return await self._answer(request, [task for task in tasks if _has_log(task)], service.id)

    async def task(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, [find(self._context.view, Task, request.match_info["id"])], "")

    async def _answer(self, request: web.Request, tasks: list[Task], service_id: str) -> web.StreamResponse:
        wanted = _options(request)
        tty = any(_tty(self._context, task) for task in tasks)
        kind = "application/vnd.docker.raw-stream" if tty else "application/vnd.docker.multiplexed-stream"
        timestamps = http.flag(request, "timestamps")

        async def frames() -> AsyncGenerator[bytes, None]:
            merged = Merged(self._context, wanted, service_id if wanted.follow else "")
            async with aclosing(merged.lines(tasks)) as lines:
                async for task, at, stream, line in lines:
                    text = _prefix(task, at, timestamps, wanted.details) + line
                    yield text if tty else bytes((stream, 0, 0, 0)) + len(text).to_bytes(4, "big") + text

        return await http.stream(request, frames(), kind)


class Merged:
    """Lines of several tasks as they come; with `follow_service` also those of tasks that the service gets later."""

    def __init__(self, context: Context, options: wire.LogRequest, follow_service: str) -> None:
        self._context = context
        self._options = options
        self._follow = follow_service
        self._lines: asyncio.Queue[Line | None] = asyncio.Queue(AHEAD)
        self._known: set[str] = set()  # ids of the tasks whose logs were asked for
        self._open = 0  # logs whose end was not taken from the queue yet

    async def lines(self, tasks: list[Task]) -> AsyncGenerator[Line, None]:
        events = self._context.store.watch()
        async with asyncio.TaskGroup() as group:
            readers = [self._start(group, task) for task in tasks]
            if self._follow:
                readers.append(group.create_task(self._later(group, events), name="later tasks"))
            elif not readers:
                return
            while self._follow or self._open:
                line = await self._lines.get()
                if line is None:
                    self._open -= 1
                else:
                    yield line
            for reader in readers:
                reader.cancel()

    def _start(self, group: asyncio.TaskGroup, task: Task) -> asyncio.Task[None]:
        self._known.add(task.id)
        self._open += 1
        return group.create_task(self._read(task), name=f"log of {task.id}")

    async def _read(self, task: Task) -> None:
        try:
            async for chunk in self._context.dispatcher.logs(task, self._options):
                for at, stream, line in chunk.lines:
                    await self._lines.put((task, at, stream, line))
                if chunk.error:
                    await self._lines.put(_complaint(task, chunk.error))
        except ShoalError as error:
            await self._lines.put(_complaint(task, error.message))
        await self._lines.put(None)

    async def _later(self, group: asyncio.TaskGroup, events: AsyncIterator[Event]) -> None:
        async for event in events:
            for changed in event.changes:
                task = changed.after
                if (
                    isinstance(task, Task)
                    and task.service_id == self._follow
                    and task.id not in self._known
                    and _has_log(task)
                ):
                    self._start(group, task)


def _has_log(task: Task) -> bool:
    return bool(task.node_id) and task.status.state.order >= TaskState.STARTING.order


def _complaint(task: Task, text: str) -> Line:
    return task, datetime.now(UTC), STDERR, f"error from daemon in stream: {text}\n".encode()


def _tty(context: Context, task: Task) -> bool:
    spec = task_spec(context.view, task)
    return bool(spec and spec.container_spec and spec.container_spec.tty)


def _options(request: web.Request) -> wire.LogRequest:
    stdout, stderr = http.flag(request, "stdout"), http.flag(request, "stderr")
    if not stdout and not stderr:
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    tail = request.query.get("tail", "all")
    return wire.LogRequest(
        id="",
        task_id="",
        follow=http.flag(request, "follow"),
        stdout=stdout,
        stderr=stderr,
        since=_moment(request.query.get("since", "")),
        until=_moment(request.query.get("until", "")),
        tail=int(tail) if tail.isdecimal() else -1,
        details=http.flag(request, "details"),
    )


def _moment(text: str) -> datetime | None:
    return datetime.fromtimestamp(moment(text) / 1e9, UTC) if text and text != "0" else None


def _prefix(task: Task, at: datetime, timestamps: bool, details: bool) -> bytes:
    """The time, then the labels by which the client names the line's task; each followed by a blank."""
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%f000Z ") if timestamps else ""
    if details:
        labels = {"node.id": task.node_id, "service.id": task.service_id, "task.id": task.id}
        text += ",".join(f"com.docker.swarm.{name}={value}" for name, value in labels.items()) + " "
    return text.encode()
