"""The daemons' entry points: `shoald` (the worker, which keeps the manager running) and its child, the manager.

Owns process supervision, signals and the lock on the root folder. What the daemons do is worker/daemon.py's and
manager/daemon.py's work: only this package imports both, and each only in its own process.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import structlog

from common.durable import write_file
from common.errors import Conflict, ShoalError, Unavailable
from common.identity import IdentityFile
from common.log import configure
from common.settings import Settings, decode, encode
from shoal.settings import load

log = structlog.get_logger()
_PR_SET_PDEATHSIG = 1
_RESTART_DELAY = 0.5  # seconds; doubles up to _RESTART_LIMIT while the manager keeps dying
_RESTART_LIMIT = 10.0
_STEADY = 60.0  # seconds after which a manager counts as one that did not die at once


def main(argv: Sequence[str]) -> int:
    """`shoald …`: run the node daemon until SIGTERM or SIGINT. Exit code 1 and a sentence where it cannot run."""
    try:
        settings, check = load(argv)
        if check:
            sys.stdout.write(msgspec.json.format(encode(settings), indent=2).decode() + "\n")
            return 0
        if os.geteuid() != 0:
            raise ShoalError("shoald needs root: it makes namespaces, mounts and network interfaces")
        configure(settings.log_level, "shoald")
        with _locked("root", settings.root), _locked("state", settings.state):
            node_id = IdentityFile(settings.root).load().node_id
            asyncio.run(_until_signal(_node(settings, node_id)))
    except ShoalError as error:
        sys.stderr.write(f"shoald: {error.message}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"shoald: {error}\n")
        return 1
    return 0


def manager(argv: Sequence[str]) -> int:
    """The child: `python -m shoal manager SETTINGS-FILE NODE-ID PARENT`. Ends with its parent, however that ends."""
    from manager.daemon import run

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(argv[2]):  # it ended before it could be watched
        return 0
    settings = decode(Path(argv[0]).read_bytes())
    configure(settings.log_level, "manager")
    try:
        asyncio.run(_until_signal(run(settings, argv[1])))
    except ShoalError as error:
        sys.stderr.write(f"shoal-manager: {error.message}\n")
        return 1
    return 0


async def _node(settings: Settings, node_id: str) -> None:
    from worker.daemon import run

    write_file(settings.state / "settings.json", encode(settings), durable=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_manager(settings, node_id), name="manager")
        await run(settings, node_id)


async def _keep_manager(settings: Settings, node_id: str) -> None:
    """Run the manager child; start it again, with back-off, when it dies; stop it when this task is cancelled."""
    delay = _RESTART_DELAY
    command = [
        sys.executable,
        "-m",
        "shoal",
        "manager",
        str(settings.state / "settings.json"),
        node_id,
        str(os.getpid()),
    ]
    while True:
        started = asyncio.get_running_loop().time()
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _stop(process, settings.shutdown_timeout)
            raise
        if asyncio.get_running_loop().time() - started > _STEADY:
            delay = _RESTART_DELAY
        log.error("the manager ended, starting it again", code=code, delay=delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, _RESTART_LIMIT)


async def _stop(process: asyncio.subprocess.Process, timeout: float) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until_signal(work: Awaitable[None]) -> None:
    """Run `work`; SIGTERM and SIGINT cancel it, which is its clean stop."""
    task = asyncio.ensure_future(work)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        stopping = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopping:
            raise
    except BaseExceptionGroup as group:
        _raise_sentence(group)


def _raise_sentence(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise the first error that is a sentence for a user; else the group itself, loudly."""
    for error in _flatten(group):
        if isinstance(error, ShoalError):
            raise error
    raise group


def _flatten(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flatten(inner)
    else:
        yield error


@contextmanager
def _locked(name: str, folder: Path) -> Iterator[None]:
    """Hold the folder as its only daemon. Raises Conflict where another has it, Unavailable where it cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        lock = open(folder / "lock", "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise Unavailable(
            f"the {name} folder {folder} cannot be used ({error.strerror}): choose another one by --{name}"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another shoald already uses the {name} folder {folder}: stop it or choose another --{name}"
            ) from None
        yield
