"""A virtual machine as a host of the lab: the same power switch, shell, API and daemons as a host of namespaces has.

QEMU runs inside the rack's namespaces and in the host's group, so that frost, power cuts and the lab's end reach it as they reach any
other host. What goes on inside the machine is done through one SSH connection, which lives in the rack too.
"""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from examples.lab import layout
from examples.lab.host import SOCKET, Host, Part
from examples.lab.layout import Address, LabError
from examples.lab.processes import Process, run, until
from examples.lab.vms import tree
from examples.lab.vms.files import Image
from examples.lab.vms.guest_process import GuestProcess
from examples.lab.vms.machine import Machine

if TYPE_CHECKING:
    from examples.lab.hosts import Lab

_OFF = "/run/shoald.off"  # init starts no shoald while it is there
_BALLAST = "/var/lib/shoal-lab-ballast"
_BOOT = 120.0  # seconds


class VmHost(Host):
    def __init__(self, lab: Lab, address: Address) -> None:
        super().__init__(lab, address)
        vms = lab.blueprint.vms
        assert vms is not None  # else it would be another kind of host
        self._image = Image(Path(vms.image))
        self._machine = Machine(address, Path(vms.disks) / address.name, self._image, vms)
        self._socket = self.folder / "shoal.sock"

    # What runs in it

    def _find(self, word: str) -> Process | None:
        if self.init is None or not self._machine.up():
            return None
        found = subprocess.run(
            self.command("pgrep", "-f", f"python3 -m shoal {word}"), capture_output=True, text=True, check=False
        )
        pids = found.stdout.split()
        return GuestProcess(int(pids[0]), 0, self.command) if pids else None

    @property
    def root(self) -> Path:
        raise LabError(f"{self.name} is a virtual machine: its files are not to be seen from outside, use `lab enter`")

    @property
    def url(self) -> str:
        self._connect()
        return f"unix://{self._socket}"

    def command(self, *command: str) -> list[str]:
        self._on()
        until(
            lambda: self._machine.up() or self.init is None,
            f"{self.name} comes up: {self._machine.said()}",
            timeout=_BOOT,
        )
        self._on()
        terminal = ["-t"] if len(command) == 1 and command[0].endswith("sh") and sys.stdin.isatty() else []
        return self._ssh(*terminal, f"root@{self.ip}", "--", *map(shlex.quote, command))

    def _ssh(self, *arguments: str) -> list[str]:
        values = {
            "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityFile": self._image.key, "ConnectTimeout": 30,
            "UserKnownHostsFile": self._image.known_hosts, "StrictHostKeyChecking": "yes", "LogLevel": "ERROR",
            "ControlMaster": "auto", "ControlPath": self.folder / "ssh", "ControlPersist": "yes",
        }  # fmt: skip
        options = [word for name, value in values.items() for word in ("-o", f"{name}={value}")]
        return self._inside("ssh", "-F", "none", *options, *arguments)

    def _inside(self, *command: str) -> list[str]:
        """The command line that runs `command` in the rack's namespaces, to end with it."""
        rack = self.lab.rack.alive()
        return ["nsenter", f"--target={rack.pid}", "--mount", "--net", "--pid", "--", *command]

    def _connect(self) -> None:
        """Make the machine's API a socket on this side, where it is none yet."""
        if self._socket.exists():
            return
        self.run("true")  # the connection that all others share
        run(*self._ssh("-O", "forward", "-L", f"{self._socket}:{SOCKET}", f"root@{self.ip}"))

    def _disconnect(self) -> None:
        """Forget the connection: the machine at its other end is gone."""
        if (self.folder / "ssh").exists():
            subprocess.run(self._ssh("-O", "exit", f"root@{self.ip}"), capture_output=True, check=False, timeout=30)
        for path in (self._socket, self.folder / "ssh"):
            path.unlink(missing_ok=True)

    # Its life

    def boot(self) -> None:
        if self.init is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._disconnect()
        self.group.create()
        self._machine.make_disk()
        names = "".join(f"{host.ip} {host.name}\n{host.ip6} {host.name}\n" for host in self.lab.addresses)
        tree.pack(self._machine.tree, names)
        self._plug()
        run(*self.group.join(*self._inside(*self._machine.qemu(self.log, self.lab.blueprint.flags))))
        qemu = next((process for process in self.group.own() if "qemu" in "".join(process.words()[:1])), None)
        if qemu is None:
            raise LabError(f"{self.name} has ended at once: {self._machine.said()}")
        qemu.save(self.folder / "init.json")
        self.lab.wires.apply()

    def _plug(self) -> None:
        self.lab.rack.unplug(self.address)
        lines = f"tuntap add dev {self.name} mode tap\nlink set dev {self.name} master {layout.BRIDGE} up\n"
        self.lab.rack.run("ip", "-batch", "-", stdin=lines)

    def spawn(self) -> None:
        running = self.init is not None
        self.boot()
        if running:
            self.run("rm", "-f", _OFF)

    def wait(self, timeout: float = 240) -> None:
        """A shoald that ends is started again by init: only its API tells. Raises LabError with the end of its log."""

        def settled() -> bool:
            return self.init is None or (self._machine.up() and self.answers())

        until(settled, f"{self.name} answers; the end of its log:\n{self.tail()}", timeout=timeout, every=0.2)
        if self.init is None:
            raise LabError(f"{self.name} has ended; its console ended so:\n{self._machine.said()}")

    def stop(self, timeout: float = 120) -> None:
        if self.state() == "running":
            self.run("touch", _OFF)
        super().stop(timeout)

    def kill(self) -> None:
        super().kill()
        if self.lab.rack.process is not None:
            self._disconnect()

    def kill_daemon(self, part: Part = "shoald") -> None:
        self._part(part)
        if part != "manager":
            self.run("touch", _OFF)
        super().kill_daemon(part)

    def freeze(self, part: Part = "all") -> None:
        if part == "all":
            self._disconnect()
        super().freeze(part)

    def answers(self) -> bool:
        """Whether its Docker API answers a ping within ten seconds: the machine may be slow."""
        try:
            self._connect()
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(self._socket))
                client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in client.recv(64)
        except (OSError, LabError):
            return False

    # Its disk

    def used(self) -> tuple[int, int]:
        if self.state() in ("off", "frozen"):
            return self._machine.written(), 0
        total, free = map(int, self.run("stat", "-f", "-c", "%b %a", "/").split())
        return (total - free) * 4096, free * 4096

    def fill(self, leave: int = 0) -> None:
        _, free = self.used()
        self.run("fallocate", "-l", str(max(free - leave, 4096)), _BALLAST)

    def unfill(self) -> None:
        self.run("rm", "-f", _BALLAST)

    def discard(self) -> None:
        shutil.rmtree(self._machine.folder.parent, ignore_errors=True)
