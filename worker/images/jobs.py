"""Runs file work in child processes (worker/images/child.py): the daemon's side of their protocol.

Bytes go in from a file or a stream and come out as a stream; nothing is held in memory beyond a pipe's worth.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from common import errors

_PACKAGES = str(Path(__file__).resolve().parents[2])
_CHUNK = 1 << 18
_LINE_LIMIT = 64 << 20  # bytes of an answer: the index of an archive with 100,000 members fits
_ERRORS = {
    kind.code: kind
    for kind in (errors.InvalidArgument, errors.NotFound, errors.TooLarge, errors.NoSpace, errors.Forbidden)
}

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

Source = AsyncIterator[bytes] | Path | None


async def run_job(do: str, source: Source = None, **job: Any) -> Any:
    """Run a job to its end and return what it answers. Raises the error that it reports.

    Jobs that depend on no client's speed take turns: one per processor.
    """
    if source is None or isinstance(source, Path):
        async with _turn():
            return await _run(do, source, job)
    return await _run(do, source, job)


def _turn() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    if loop not in _turns:
        _turns[loop] = asyncio.Semaphore(max(2, os.cpu_count() or 1))
    return _turns[loop]


async def _run(do: str, source: Source, job: dict[str, Any]) -> Any:
    process = await _start({"do": do, **job}, source)
    try:
        if source is None or isinstance(source, Path):
            answer = await _answer(process)
        else:
            answer = await _feed(process, source)
        await process.wait()
    finally:
        await _end(process)
    return answer


@asynccontextmanager
async def stream_job(do: str, **job: Any) -> AsyncIterator[tuple[Any, AsyncGenerator[bytes, None]]]:
    """Start a job whose answer is followed by bytes: (answer, chunks). Leaving early ends the child."""
    process = await _start({"do": do, **job}, None)
    try:
        yield await _answer(process), _chunks(process)
    finally:
        await _end(process)


async def _start(job: dict[str, Any], source: Source) -> Process:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return await _spawn(job, file.fileno())
    return await _spawn(job, DEVNULL if source is None else PIPE)


async def _spawn(job: dict[str, Any], stdin: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.images.child", json.dumps({**job, "parent": os.getpid()}),
        stdin=stdin, stdout=PIPE, limit=_LINE_LIMIT, env={"PYTHONPATH": _PACKAGES, "PYTHONUTF8": "1"}, cwd="/",
    )  # fmt: skip


async def _feed(process: Process, source: AsyncIterator[bytes]) -> Any:
    """Write the source to the child while waiting for its answer: it may refuse the rest at any time."""
    failures: list[errors.ShoalError] = []
    answer: Any = None
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(_write(process, source, failures))
        try:
            answer = await _answer(process)
        except errors.ShoalError as error:
            failures.append(error)
        writing.cancel()
    if failures:
        raise failures[0]
    return answer


async def _write(process: Process, source: AsyncIterator[bytes], failures: list[errors.ShoalError]) -> None:
    """A source that fails ends the child: half an archive must never look like a whole one."""
    assert process.stdin is not None
    try:
        async for chunk in source:
            try:
                process.stdin.write(chunk)
                await process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                return  # the child refused the rest: its answer says why
        process.stdin.close()
    except errors.ShoalError as error:
        failures.append(error)
        process.kill()


async def _answer(process: Process) -> Any:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        raise errors.ShoalError(f"the process that works on the files ended with status {await process.wait()}")
    answer = json.loads(line)
    if "error" in answer:
        raise _ERRORS.get(answer["error"], errors.ShoalError)(answer["message"])
    return answer["ok"]


async def _chunks(process: Process) -> AsyncGenerator[bytes, None]:
    """The bytes behind the answer. Raises ShoalError where the child failed on its way: what came is not complete."""
    assert process.stdout is not None
    while chunk := await process.stdout.read(_CHUNK):
        yield chunk
    if await process.wait() != 0:
        raise errors.ShoalError("packing the files failed on the way: the archive is not complete")


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.wait()
