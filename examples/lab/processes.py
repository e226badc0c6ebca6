"""Processes of the lab by pid and start time, so that a pid that is used again is never mistaken for the old one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from common.durable import write_file
from examples.lab.layout import LabError


class Process(msgspec.Struct, frozen=True):
    """A process seen from the machine's own PID namespace."""

    pid: int
    started: int  # clock ticks after the machine's start

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this pid now; None for none and for one that has ended."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def load(cls, path: Path) -> Process | None:
        """The one that was saved there; None where it is not, or does not run any more."""
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=Process)
        except FileNotFoundError:
            return None
        return saved if saved.alive() else None

    def save(self, path: Path) -> None:
        write_file(path, msgspec.json.encode(self), durable=False)

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def stopped(self) -> bool:
        """Whether it stands still because of SIGSTOP."""
        try:
            return "\nState:\tT" in Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def words(self) -> list[str]:
        """Its command line; [] once it has ended."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            return []

    def namespace(self, kind: str) -> int:
        """The inode number of one of its namespaces: net, pid, mnt, uts, ipc or cgroup."""
        return os.stat(f"/proc/{self.pid}/ns/{kind}").st_ino


def run(*command: str, stdin: str | None = None, timeout: float = 120) -> str:
    """Run a command; its standard output. Raises LabError with what it said where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise LabError(f"gave up after {timeout:.0f} s: {' '.join(command)}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"this failed with exit code {done.returncode}: {' '.join(command)}\n{said}")
    return done.stdout


def until(condition: Callable[[], object], what: str, *, timeout: float = 30.0, every: float = 0.02) -> None:
    """Wait until `condition` returns something true. Raises LabError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"not so after {timeout:.0f} s: {what}")
        time.sleep(every)
