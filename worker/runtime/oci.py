"""The command line of the OCI runtime: crun, runc or another one with runc's grammar.

Knows which binary it is and where its state lies; knows nothing of monitors and bundles.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import ShoalError, Unavailable
from common.settings import Settings
from worker.runtime import workaround
from worker.runtime.process import Result, run, version


class OciRuntime:
    """One OCI runtime. `start_up()` finds the binary and what it is; nothing else works before that."""

    def __init__(self, settings: Settings) -> None:
        self._wanted = settings.runtime
        self._state = settings.state
        self.root = settings.state / "runtime"
        self.binary = Path(settings.runtime)
        self._plain = self.binary  # the same without the work-around
        self.is_crun = False
        self.version = ""

    async def start_up(self) -> None:
        """Raises Unavailable where the runtime cannot be run."""
        found = shutil.which(self._wanted)
        if found is None:
            raise Unavailable(f"no OCI runtime {self._wanted!r} on this machine: install it or set --runtime")
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.binary = self._plain = Path(found)
        self.version = await version(found)
        if not self.version:
            raise Unavailable(f"{found} is no OCI runtime: it does not answer --version; choose another by --runtime")
        self.is_crun = self.version.startswith("crun")
        if self.is_crun and workaround.needed():
            self.binary = workaround.wrap(self.binary, self._state)

    @property
    def global_args(self) -> list[str]:
        """What comes before the command; conmon passes the same on."""
        manager = ["--cgroup-manager=cgroupfs"] if self.is_crun else []
        return [f"--root={self.root}", *manager]

    async def call(self, *args: str) -> Result:
        """Run a command; failures come back as a result."""
        return await run([str(self.binary), *self.global_args, *args])

    async def command(self, *args: str) -> None:
        """Run a command. Raises ShoalError with what the runtime said."""
        _check(args[0], await self.call(*args))

    async def start(self, id: str) -> None:
        """Let a created container's process run: cgroups play no part, so the work-around is not paid for."""
        _check("start", await run([str(self._plain), *self.global_args, "start", id]))

    async def pause(self, id: str) -> None:
        await self.command("pause", id)

    async def resume(self, id: str) -> None:
        await self.command("resume", id)

    async def update(self, id: str, resources: Mapping[str, Any]) -> None:
        with os.fdopen(os.memfd_create("resources"), "wb") as file:
            file.write(json.dumps(resources).encode())
            file.flush()
            path = f"/proc/self/fd/{file.fileno()}"
            argv = [str(self.binary), *self.global_args, "update", "--resources", path, id]
            _check("update", await run(argv, pass_fds=(file.fileno(),)))

    async def delete(self, id: str) -> None:
        """Kill and forget a container; one that the runtime does not know is no error."""
        if os.path.lexists(self.root / id):
            await self.command("delete", "--force", id)

    def forget(self, id: str) -> None:
        """Remove what is left of a container's state when `delete` could not. Its processes must be gone."""
        shutil.rmtree(self.root / id, ignore_errors=True)


def _check(command: str, result: Result) -> None:
    if result.code:
        raise ShoalError(f"OCI runtime {command} failed: {_text(result)}")


def _text(result: Result) -> str:
    return result.stderr.decode(errors="replace").strip() or f"exit code {result.code}"
