"""`shoal service logs`."""

from __future__ import annotations

from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import ApiError
from cli.flags.command import command
from cli.flags.shared import name, no_trunc_option
from cli.flags.types import MOMENT
from cli.session import Session
from cli.show.tasks import Names
from cli.show.units import short_id
from cli.terminal.frames import STDOUT, Splitter, copy_raw, write_frame

_CONTEXT = "com.docker.swarm."


@command(usage="SERVICE|TASK", examples=["shoal service logs -f --tail 20 web"])
@click.option("--details", is_flag=True, help="Show the details that the log driver keeps")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on")
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@click.option("--no-task-ids", is_flag=True, help="Leave out the tasks' ids")
@no_trunc_option
@click.option("--raw", is_flag=True, help="Show the lines as they are")
@click.option("--since", type=MOMENT, help="From this time on: 2026-01-02T15:04:05Z, a UNIX time, or 42m ago")
@click.option("-n", "--tail", default="all", help="So many lines from the end of each task's log")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written")
@name("SERVICE|TASK")
@click.pass_obj
def logs(session: Session, /, name: str, no_resolve: bool, raw: bool, **given: Any) -> None:
    path, tty = _target(session.client, name)
    pretty = not raw and not tty
    query = {key: given[key] for key in ("follow", "since", "tail", "timestamps")}
    query |= {"stdout": True, "stderr": True, "details": pretty or given["details"]}
    with session.client.stream("GET", path, query=query) as response:
        if tty:
            copy_raw(response.chunks())
            return
        naming = Naming(Names(session.client, not no_resolve), not given["no_task_ids"], not given["no_trunc"])
        writer = Writer(naming if pretty else None, details=given["details"], timestamps=given["timestamps"])
        splitter = Splitter()
        for chunk in response.chunks():
            for stream, payload in splitter.feed(chunk):
                writer.write(stream, payload)
        writer.flush()


def _target(client: Client, name: str) -> tuple[str, bool]:
    """(path of the logs, whether they are a terminal's) of a service or task."""
    try:
        found = client.get(item("services", name))
    except ApiError as error:
        if error.status != 404:
            raise
        try:
            found = client.get(item("tasks", name))
        except ApiError:
            raise ApiError(404, f"no such task or service: {name}") from None
        return item("tasks", found["ID"], "logs"), _tty(found["Spec"])
    return item("services", found["ID"], "logs"), _tty(found["Spec"]["TaskTemplate"])


def _tty(spec: dict[str, Any]) -> bool:
    return bool((spec.get("ContainerSpec") or {}).get("TTY"))


class Naming:
    """Who wrote a line, from the details that the daemon sends with it: "web.1.abc123@node1"."""

    def __init__(self, names: Names, task_ids: bool, trunc: bool) -> None:
        self._names = names
        self._task_ids = task_ids
        self._trunc = trunc
        self._slots: dict[str, str] = {}
        self.width = 0

    def prefix(self, details: dict[str, str]) -> str:
        task = details.get(f"{_CONTEXT}task.id", "")
        name = self._slot(details, task)
        if self._task_ids and task:
            name += f".{short_id(task) if self._trunc else task}"
        text = f"{name}@{self._names.node(details.get(f'{_CONTEXT}node.id', ''))}"
        self.width = max(self.width, len(text))
        return f"{text:<{self.width}}    | "

    def _slot(self, details: dict[str, str], task: str) -> str:
        if task not in self._slots:
            service = self._names.service(details.get(f"{_CONTEXT}service.id", ""))
            try:
                self._slots[task] = self._names.task(self._names.find_task(task))
            except ApiError:
                self._slots[task] = service
        return self._slots[task]


class Writer:
    """Puts each line's writer before it. A line is [TIMESTAMP ]DETAILS TEXT, the details key=value with commas between."""

    def __init__(self, naming: Naming | None, *, details: bool, timestamps: bool) -> None:
        self._naming = naming
        self._details = details
        self._timestamps = timestamps
        self._partial: dict[int, bytes] = {}

    def write(self, stream: int, payload: bytes) -> None:
        if self._naming is None:
            write_frame(stream, payload)
            return
        *lines, rest = (self._partial.pop(stream, b"") + payload).split(b"\n")
        for line in lines:
            write_frame(stream, self._named(line) + b"\n")
        if rest:
            self._partial[stream] = rest

    def flush(self) -> None:
        for stream, rest in self._partial.items():
            write_frame(stream or STDOUT, self._named(rest) + b"\n")
        self._partial.clear()

    def _named(self, line: bytes) -> bytes:
        assert self._naming is not None
        moment = b""
        if self._timestamps:
            moment, _, line = line.partition(b" ")
            moment += b" "
        raw, _, text = line.partition(b" ")
        details = parse_details(raw.decode(errors="replace"))
        others = [f"{k}={v}" for k, v in details.items() if k and not k.startswith(_CONTEXT)]
        shown = f"{','.join(others)} ".encode() if self._details and others else b""
        return moment + self._naming.prefix(details).encode() + shown + text


def parse_details(text: str) -> dict[str, str]:
    """ "a=1,b=x%2Cy" → {"a": "1", "b": "x,y"}: written as a query, so that values may hold commas."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {_unquoted(key): _unquoted(value) for key, _, value in pairs}


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)
