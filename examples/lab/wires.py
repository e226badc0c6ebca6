"""Puts what is wrong between hosts into force on the rack's bridge: nftables, tc, and the process that delays."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from common.durable import write_file
from examples.lab.host import REPO
from examples.lab.layout import Address, Folder
from examples.lab.links import TAP, Faults
from examples.lab.processes import Process
from examples.lab.rack import Rack


class Wires:
    """The links of one lab. Several processes may change them at the same time."""

    def __init__(self, folder: Folder, rack: Rack, hosts: Sequence[Address]) -> None:
        self.folder = folder
        self.rack = rack
        self.hosts = hosts

    def faults(self) -> Faults:
        try:
            return msgspec.json.decode(self.folder.faults.read_bytes(), type=Faults)
        except FileNotFoundError:
            return Faults()

    def change(self, change: Callable[[Faults], None]) -> None:
        """Change what is wrong, in force when this returns. Raises LabError."""
        with self._locked():
            faults = self.faults()
            change(faults)
            write_file(self.folder.faults, msgspec.json.encode(faults), durable=False)
            self._enforce(faults)

    def apply(self) -> None:
        """Put what is wrong into force again, for a port that is new."""
        with self._locked():
            self._enforce(self.faults())

    def _enforce(self, faults: Faults) -> None:
        if faults.delayed():
            self._delay()
        ports = self.rack.ports() if faults.delayed() else []
        self.rack.run("nft", "-f", "-", stdin=faults.ruleset(self.hosts, ports))
        commands = self.rack.command("tc", "-force", "-batch", "-")
        subprocess.run(commands, input=faults.shaping(self.hosts), text=True, capture_output=True, check=False)

    def _delay(self) -> None:
        """Let the process that delays read the delays; start it where there is none."""
        process = Process.load(self.folder.delayer)
        if process is not None:
            process.send(signal.SIGHUP)
            return
        delayer = ["env", f"PYTHONPATH={REPO}", sys.executable, "-m", "examples.lab.delay", str(self.folder.path)]
        self.rack.spawn(*delayer, output=self.folder.path / "delay.log").save(self.folder.delayer)
        self.rack.run("ip", "link", "set", TAP, "up")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.folder.lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
