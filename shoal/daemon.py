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
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog

from common.durable import write_file
from common.errors import Conflict, ShoalError, Unavailable
from common.identity import Identity, IdentityFile
from common.log import configure
from common.settings import Settings, decode, encode
from shoal.settings import load
from shoal.supervisor import Supervisor

log = structlog.get_logger()
_PR_SET_PDEATHSIG = 1
_LINE = 1 << 20  # bytes of an identity in one line, certificates included


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
            file = IdentityFile(settings.root)
            asyncio.run(_until_signal(_node(settings, file, file.load())))
    except ShoalError as error:
        sys.stderr.write(f"shoald: {error.message}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"shoald: {error}\n")
        return 1
    return 0


def manager(argv: Sequence[str]) -> int:
    """The child: `python -m shoal manager SETTINGS-FILE PARENT`. Ends with its parent, however that ends."""
    from common.identity.start import decode as decode_start
    from manager.daemon import run

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(argv[1]):  # it ended before it could be watched
        return 0
    settings = decode(Path(argv[0]).read_bytes())
    configure(settings.log_level, "manager")
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:  # the next lines are for _updates
        line = unbuffered.readline()
    if not line:
        return 0
    try:
        asyncio.run(_until_signal(run(settings, decode_start(line), _updates)))
    except ShoalError as error:
        sys.stderr.write(f"shoal-manager: {error.message}\n")
        return 1
    return 0


async def _node(settings: Settings, file: IdentityFile, identity: Identity) -> None:
    from worker.daemon import run
    from worker.membership.membership import Membership

    write_file(settings.state / "settings.json", encode(settings), durable=False)
    supervisor = Supervisor(settings)
    membership = Membership(settings, file, identity, supervisor)
    await membership.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run(), name="manager")
        group.create_task(membership.run(), name="membership")
        group.create_task(membership.watch(), name="own address")
        await run(settings, membership)


async def _updates() -> AsyncIterator[Identity]:
    """The identities that the parent tells of while the manager runs."""
    from common.identity.start import decode as decode_start

    reader = asyncio.StreamReader(limit=_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield decode_start(line).identity


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
