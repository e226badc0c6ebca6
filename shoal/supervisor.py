"""Keeps the manager child running while the node's identity asks for one, and starts it again when it dies.

What the manager is to be reaches it on its standard input, so that no key is on disk or among the arguments.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

import structlog
from msgspec.structs import replace

from common.identity import Identity
from common.identity.start import ManagerStart, encode, encode_update
from common.settings import Settings

log = structlog.get_logger()
_RESTART_DELAY = 0.5  # seconds; doubles up to _RESTART_LIMIT while the manager keeps dying
_RESTART_LIMIT = 10.0
_HANDOVER = 5.0  # seconds that a manager may take to make way for another one: it survives worse ends than a kill
_STEADY = 60.0  # seconds after which a manager counts as one that did not die at once


class Supervisor:
    """`want` says what shall run, `run` sees to it until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wanted: ManagerStart | None = None
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._delay = _RESTART_DELAY
        self._input: asyncio.StreamWriter | None = None  # of the child that runs

    def want(self, start: ManagerStart | None) -> None:
        """Let a manager run as `start` says, anew if one runs already; None: let none run."""
        self._wanted = start
        self._delay = _RESTART_DELAY
        self._changed.set()

    def update(self, identity: Identity) -> None:
        """Tell the manager that runs, and every later one, of a new certificate, new roots or new managers."""
        if self._wanted is not None:
            self._wanted = replace(self._wanted, identity=identity)
        if self._input is not None:
            self._input.write(encode_update(identity))

    async def stopped(self) -> None:
        """After `want(None)`: return once no manager runs."""
        await self._idle.wait()

    async def run(self) -> None:
        while True:
            start = self._wanted
            self._changed.clear()
            if start is None:
                await self._changed.wait()
            else:
                await self._live(start)

    async def _live(self, start: ManagerStart) -> None:
        """One child, until it ends or something else is wanted."""
        clock = asyncio.get_running_loop().time
        began = clock()
        self._idle.clear()
        process = await self._spawn(start)
        ended, changed = (asyncio.ensure_future(wait) for wait in (process.wait(), self._changed.wait()))
        try:
            await asyncio.wait((ended, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            self._input = None
            limit = self._settings.shutdown_timeout
            await _stop(process, min(limit, _HANDOVER) if self._changed.is_set() else limit)
            self._idle.set()
        if self._changed.is_set():
            return
        if clock() - began > _STEADY:
            self._delay = _RESTART_DELAY
        log.error("the manager ended, starting it again", code=process.returncode, delay=self._delay)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), self._delay)
        self._delay = min(self._delay * 2, _RESTART_LIMIT)

    async def _spawn(self, start: ManagerStart) -> asyncio.subprocess.Process:
        settings = str(self._settings.state / "settings.json")
        command = [sys.executable, "-m", "shoal", "manager", settings, str(os.getpid())]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        if self._wanted is start:
            self._wanted = replace(start, force_new=False)  # once only: a later start must not force anything
        self._input = process.stdin
        self._input.write(encode(start))
        return process


async def _stop(process: asyncio.subprocess.Process, timeout: float) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            process.kill()
            await process.wait()
