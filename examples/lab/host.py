"""One host of the lab: running things in it, its life and death, its disk."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from examples.lab import clock, groups
from examples.lab.groups import Group
from examples.lab.layout import Address, LabError
from examples.lab.processes import Process, run, until
from examples.lab.rack import spawn

if TYPE_CHECKING:
    from examples.lab.hosts import Lab

REPO = Path(__file__).resolve().parents[2]
SOCKET = "/run/shoal/shoal.sock"
_GONE = 0.5  # seconds without a sign of shoald after which it has ended
Part = Literal["all", "shoald", "manager"]
State = Literal["off", "on", "running", "frozen"]


class Host:
    """One host. It is off (after a power cut), on (without a shoald), running (with one) or frozen."""

    def __init__(self, lab: Lab, address: Address) -> None:
        self.lab = lab
        self.address = address
        self.name, self.ip, self.ip6 = address.name, address.ip, address.ip6
        self.is_manager = address.is_manager
        self.folder = lab.folder.host(address.name)
        self.log = self.folder / "shoald.log"
        self.group = Group(lab.folder.group, address.name)

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.state()}>"

    @property
    def init(self) -> Process | None:
        """The first process of its PID namespace; None while it is off."""
        return Process.load(self.folder / "init.json")

    @property
    def shoald(self) -> Process | None:
        return self._find("daemon")

    @property
    def manager(self) -> Process | None:
        """shoald's child, the control plane."""
        return self._find("manager")

    def _find(self, word: str) -> Process | None:
        return next((process for process in self.group.own() if _runs(process, word)), None)

    @property
    def root(self) -> Path:
        """Its file system as seen from here. Raises LabError while it is off."""
        return Path(f"/proc/{self._on().pid}/root")

    @property
    def url(self) -> str:
        """Of its Docker API, for clients on this machine."""
        return f"unix://{self.root}{SOCKET}"

    def state(self) -> State:
        if self.init is None:
            return "off"
        if self.group.frozen():
            return "frozen"
        return "running" if self.shoald else "on"

    def _on(self) -> Process:
        process = self.init
        if process is None:
            raise LabError(f"{self.name} is off: `lab start {self.name}` boots it")
        return process

    # Running things in it

    def command(self, *command: str) -> list[str]:
        """The command line that runs `command` as a process of this host, in its root folder."""
        target = f"--target={self._on().pid}"
        enter = ["nsenter", target, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wd=/", "--"]
        return self.group.join(*enter, *command)

    def run(self, *command: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run a command in the host; its output. Raises LabError where it fails."""
        return run(*self.command(*command), stdin=stdin, timeout=timeout)

    def docker(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """The docker command line against this host's daemon; its output. Raises LabError where it fails."""
        return run("docker", "-H", self.url, *arguments, stdin=stdin, timeout=timeout)

    def shoal(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """The same by our own command line."""
        return run(sys.executable, "-m", "shoal", "-H", self.url, *arguments, stdin=stdin, timeout=timeout)

    # Its life

    def boot(self) -> None:
        """Switch it on where it is off."""
        if self.init is not None:
            return
        folder = self.lab.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.group.remove()  # no cgroup outlives a boot
        self.group.create()
        hosts = self.folder / "hosts"
        hosts.write_text("".join(f"{host.ip} {host.name}\n{host.ip6} {host.name}\n" for host in self.lab.addresses))
        lines = "\n".join(" ".join(mount) for mount in groups.mounts())
        disk = folder.disk(self.name)
        boot = [str(REPO / "examples/lab/boot"), self.name, str(disk), str(disk.parent), str(REPO), str(hosts)]
        unshare = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--"]
        inside = ["setsid", "--fork", *unshare, "env", f"CGROUPS={lines}", *boot]
        rack = self.lab.rack.alive()
        enter = ["nsenter", f"--target={rack.pid}", "--mount", "--net", "--pid", "--", *inside]
        init = spawn(self.group.join(*enter, leaf=False), self.folder / "boot.log")
        init.save(self.folder / "init.json")
        self.lab.rack.plug(self.address, init)
        self.lab.wires.apply()

    def spawn(self) -> None:
        """Boot it where it is off, and start its shoald where none runs, without waiting for that."""
        self.boot()
        if self.shoald is None:
            shoald = [sys.executable, "-m", "shoal", "daemon", *self.lab.blueprint.flags]
            settings = [f"PYTHONPATH={REPO}", *([clock.install(self.root)] if self.lab.blueprint.clocks else [])]
            with open(self.log, "ab") as log:
                command = self.command("setsid", "--fork", "env", *settings, *shoald)
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)

    def wait(self, timeout: float = 60) -> None:
        """Until its API answers. Raises LabError with the end of its log where shoald has ended or does not answer."""
        seen = time.monotonic()

        def settled() -> bool:
            nonlocal seen
            if self.shoald is not None:  # it may be missed in the moment in which it becomes another program
                seen = time.monotonic()
            return self.answers() or time.monotonic() - seen > _GONE

        until(settled, f"{self.name} answers; the end of its log:\n{self.tail()}", timeout=timeout)
        if not self.answers():
            raise LabError(f"shoald has ended on {self.name}; the end of its log:\n{self.tail()}")

    def start(self) -> None:
        """Boot it where it is off, start its shoald where none runs, and wait until that answers."""
        self.spawn()
        self.wait()

    def stop(self, timeout: float = 60) -> None:
        """End its shoald cleanly, by SIGTERM. Its containers run on."""
        process = self.shoald
        if self.state() == "frozen":
            raise LabError(f"{self.name} is frozen: `lab thaw {self.name}` first")
        if process is not None:
            process.send(signal.SIGTERM)
            until(
                lambda: self.shoald is None and self.manager is None,
                f"shoald has ended on {self.name}",
                timeout=timeout,
            )

    def kill(self) -> None:
        """Cut its power: everything in it ends at once, only its disk stays. Idempotent."""
        process = self.init
        if process is not None:
            self.lab.rack.unplug(self.address)  # first of all: the kernel would say goodbye to every peer
            process.send(signal.SIGKILL)
            self.group.thaw_all()
            until(lambda: not process.alive() and not self.group.pids(), f"nothing of {self.name} is left", timeout=10)

    def kill_daemon(self, part: Part = "shoald") -> None:
        """SIGKILL for shoald, or for its manager child alone."""
        process = self._part(part)
        process.send(signal.SIGKILL)
        until(lambda: not process.alive(), f"{part} of {self.name} has ended", timeout=10)

    def freeze(self, part: Part = "all") -> None:
        """Let the whole host stand still, containers too, or stop only one of its daemons by SIGSTOP."""
        if part == "all":
            self._on()
            self.group.freeze()
        else:
            process = self._part(part)
            process.send(signal.SIGSTOP)
            until(process.stopped, f"{part} of {self.name} stands still", timeout=10)

    def thaw(self) -> None:
        """Let go on what was frozen, all of it or a part."""
        self._on()
        self.group.thaw()
        for process in (self.shoald, self.manager):
            if process is not None:
                process.send(signal.SIGCONT)

    def _part(self, part: Part) -> Process:
        process = self.manager if part == "manager" else self.shoald
        if process is None:
            raise LabError(f"no {part} runs on {self.name}: it is {self.state()}")
        return process

    # Its clock, disk and log

    def set_clock(self, seconds: int) -> None:
        """Let its daemons' time of day be so many seconds off, in a lab with clocks; a boot sets it right."""
        clock.set_offset(self.root, seconds)

    def used(self) -> tuple[int, int]:
        """(used, free) bytes of its disk."""
        return self.lab.rack.used(self.name)

    def discard(self) -> None:
        """Take away what of it lies outside of the lab's folder, when the lab has ended."""

    def fill(self, leave: int = 0) -> None:
        """Make its disk full but for `leave` bytes, until `unfill`."""

        def full() -> bool:
            used, _ = self.lab.rack.used(self.name)
            try:
                self.lab.rack.resize(self.name, max(used + leave, 4096))
            except LabError:  # somebody wrote in between
                return False
            return True

        until(full, f"the disk of {self.name} is full", timeout=10)

    def unfill(self) -> None:
        self.lab.rack.resize(self.name, self.lab.blueprint.disk)

    def answers(self) -> bool:
        """Whether its Docker API answers a ping within a second."""
        init = self.init
        if init is None:
            return False
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(f"/proc/{init.pid}/root{SOCKET}")
                client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in client.recv(64)
        except OSError:
            return False

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def _runs(process: Process, word: str) -> bool:
    words = process.words()
    return any(words[at : at + 3] == ["-m", "shoal", word] for at in range(len(words)))
