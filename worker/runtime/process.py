"""Short helper processes (OCI runtime, ps) and waiting for processes that are not our children.

Spawning goes through vfork with output into memory files: no pipe can fill up, no thread waits, and a large daemon's
page tables are not copied. What is run, and why, is the callers' business.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    """`code` is negative for a death by signal, as in subprocess."""

    code: int
    stdout: bytes
    stderr: bytes


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    cwd: Path | None = None,
) -> Result:
    """Run `argv` to its end in a session of its own; a cancelled caller kills it."""
    with os.fdopen(os.memfd_create("out"), "rb") as out, os.fdopen(os.memfd_create("err"), "rb") as err:
        child = subprocess.Popen(  # noqa: ASYNC220 - vfork and exec: under 1 ms
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            await ended(child.pid)
        except asyncio.CancelledError:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            code = child.wait()
        out.seek(0)
        err.seek(0)
        return Result(code, out.read(), err.read())


async def version(program: str) -> str:
    """The first line of `program --version`; empty where it cannot be run or says nothing."""
    try:
        result = await run([program, "--version"])
    except OSError:
        return ""
    return "" if result.code else result.stdout.decode(errors="replace").partition("\n")[0]


async def ended(pid: int) -> None:
    """Wait until the process is gone; any process, not only a child. Returns at once where there is none."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await readable(fd)
    finally:
        os.close(fd)


def on_end(pid: int | None, callback: Callable[[], None]) -> None:
    """Call `callback` once, when the process is gone (None: it is). Needs no task."""
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(pid) if pid is not None else -1
    except ProcessLookupError:
        fd = -1
    if fd < 0:
        loop.call_soon(callback)
        return

    def gone() -> None:
        loop.remove_reader(fd)
        os.close(fd)
        callback()

    loop.add_reader(fd, gone)


async def readable(fd: int) -> None:
    """Wait until `fd` can be read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)
