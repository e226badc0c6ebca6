"""A process inside a virtual machine, which is to be had through a command in it only."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

import msgspec

from examples.lab.processes import Process


class GuestProcess(Process, frozen=True):
    """`pid` is the machine's own number; `command` gives the command line that runs another one in the machine."""

    command: Callable[..., list[str]] = msgspec.field(default=lambda *words: list(words))

    def alive(self) -> bool:
        return self._kill(0) == 0

    def send(self, number: signal.Signals) -> None:
        self._kill(number)

    def _kill(self, number: int) -> int:
        command = self.command("kill", f"-{int(number)}", str(self.pid))
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
