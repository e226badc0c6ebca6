"""GET /containers/{id}/top: the host's `ps`, reduced to the container's processes, as Docker does it."""

from __future__ import annotations

import re
from collections.abc import Collection

from aiohttp import web

from common.errors import Conflict, InvalidArgument, ShoalError
from common.http import answer
from worker.engine.node import Engine
from worker.runtime.process import run

_PS = ("env", "-u", "COLUMNS", "ps")  # whole lines, however wide the terminal was that the daemon was started from
_RENAMED_PID = re.compile(r"\s*(\S*)=\s*(PID\S*)")


def routes(engine: Engine) -> list[web.RouteDef]:
    async def top(request: web.Request) -> web.StreamResponse:
        container = engine.containers.get(request.match_info["id"])
        arguments = request.query.get("ps_args") or "-ef"
        if renamed := _RENAMED_PID.search(arguments):
            raise InvalidArgument(f'specifying "{renamed[1]}={renamed[2]}" is not allowed')
        if not container.running:
            raise Conflict(f"container {container.id} is not running")
        pids = await engine.runtime.pids(container.id)
        titles, processes = select(await _ps(arguments.split(), pids), set(map(str, pids)))
        return answer({"Titles": titles, "Processes": processes})

    return [web.get("/containers/{id}/top", top)]


async def _ps(arguments: list[str], pids: Collection[int]) -> str:
    """ps of these processes only where the arguments allow that, else of all."""
    chosen = await run([*_PS, *arguments, "-q" + ",".join(map(str, pids))]) if pids else None
    result = chosen if chosen and not chosen.code else await run([*_PS, *arguments])
    if result.code:
        raise ShoalError(f"error running ps: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout.decode(errors="replace")


def select(text: str, pids: Collection[str]) -> tuple[list[str], list[list[str]]]:
    """(titles, rows of the processes in `pids`) of what ps wrote. Raises InvalidArgument without a column PID."""
    lines = text.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = (line.split(None, len(titles) - 1) for line in lines[1:])
    return titles, [row for row in rows if len(row) > column and row[column] in pids]
