"""The rack: the namespaces that hold a lab's hosts, with the bridge between them and their disks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from examples.lab import layout
from examples.lab.groups import Group
from examples.lab.layout import Address, Folder, LabError
from examples.lab.processes import Process, run, until

_START = 'trap "echo failed" EXIT; mount --make-rprivate / && read -r pid _ </proc/self/stat && echo "ready $pid" && exec catatonit -P'


def spawn(command: list[str], output: Path) -> Process:
    """Start what forks off by setsid and says "ready PID" when it is. Raises LabError with its output where it fails."""
    with open(output, "wb") as file:
        starter = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    code = starter.wait(30)

    def settled() -> list[str]:
        words = output.read_text().split()
        return words if code or words[-1:] == ["failed"] or words[-2:-1] == ["ready"] else []

    with contextlib.suppress(LabError):
        until(settled, "it is ready", timeout=10, every=0.005)
    words = settled()
    process = Process.of(int(words[-1])) if words[-2:-1] == ["ready"] else None
    if process is None:
        raise LabError(f"it did not start:\n{output.read_text()}".rstrip())
    return process


class Rack:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.group = Group(folder.group, "rack")  # finds its processes even where nobody could note down which they are

    @property
    def process(self) -> Process | None:
        return Process.load(self.folder.rack)

    def start(self, disk: int, hosts: list[Address]) -> None:
        """Make namespaces, bridge and disks. The lab's folder exists already."""
        self.group.create()
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--", "sh", "-c", _START]
        process = spawn(self.group.join("setsid", "--fork", *unshare, leaf=False), self.folder.path / "rack.log")
        process.save(self.folder.rack)
        self.run("ip", "-force", "-batch", "-", stdin=_bridge())
        for host in hosts:
            path = self.folder.disk(host.name)
            path.mkdir(parents=True)
            self.run("mount", "-t", "tmpfs", "-o", f"size={disk},mode=755", "disk", str(path))

    def command(self, *command: str) -> list[str]:
        """The command line that runs `command` outside of all hosts, on the bridge; it ends with the lab. Raises LabError."""
        return ["nsenter", f"--target={self.alive().pid}", "--mount", "--net", "--pid", "--", *command]

    def spawn(self, *command: str, output: Path) -> Process:
        """Start a process outside of all hosts that says "ready PID". It ends with the lab. Raises LabError."""
        return spawn(self.command("setsid", "--fork", *command), output)

    def alive(self) -> Process:
        """Its init. Raises LabError where that has died."""
        process = self.process
        if process is None:
            raise LabError(f"the lab in {self.folder.path} has died: `lab down` clears it away")
        return process

    def run(self, *command: str, stdin: str | None = None) -> str:
        return run(*self.command(*command), stdin=stdin)

    def plug(self, host: Address, init: Process) -> None:
        """Lead a wire from the bridge to a host that has just booted."""
        self.unplug(host)  # the kernel takes its time to clear away the wire of a host that ended by itself
        bridge = [
            "nsenter",
            f"--target={self.alive().pid}",
            "--net",
            "--",
        ]  # in the PID namespace that the init's pid is of
        run(*bridge, "ip", "-batch", "-", stdin=_port(host, init.pid))
        inside = ["nsenter", f"--target={init.pid}", "--net", "--", "ip", "-batch", "-"]
        run(*inside, stdin=_wire(host))

    def unplug(self, host: Address) -> None:
        """Pull the wire, so that nothing comes from the host any more. Idempotent."""
        command = self.command("ip", "link", "del", "dev", host.name)
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)

    def ports(self) -> list[str]:
        """Of the hosts that are on."""
        return [link["ifname"] for link in json.loads(self.run("ip", "-json", "link", "show", "master", layout.BRIDGE))]

    def resize(self, host: str, size: int) -> None:
        """Give a host's disk another size in bytes; not below what lies on it."""
        self.run("mount", "-o", f"remount,size={size}", str(self.folder.disk(host)))

    def used(self, host: str) -> tuple[int, int]:
        """(used, free) bytes of a host's disk."""
        process = self.process
        if process is None:
            return 0, 0
        found = os.statvfs(f"/proc/{process.pid}/root{self.folder.disk(host)}")
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bfree * found.f_frsize

    def kill(self) -> None:
        """End every process of the lab at once. Idempotent."""
        for process in self.group.own(leaf=False):
            process.send(signal.SIGKILL)


def _bridge() -> str:
    return f"""\
link set lo up
link add {layout.BRIDGE} type bridge
addr add {layout.OUTSIDE}/24 dev {layout.BRIDGE}
addr add {layout.OUTSIDE6}/64 dev {layout.BRIDGE} nodad
link set {layout.BRIDGE} up
"""


def _port(host: Address, init: int) -> str:
    return f"""\
link add name {host.name} type veth peer name eth0 address {host.mac} netns {init}
link set dev {host.name} master {layout.BRIDGE} up
"""


def _wire(host: Address) -> str:
    return f"""\
link set lo up
addr add {host.ip}/24 broadcast + dev eth0
addr add {host.ip6}/64 dev eth0 nodad
link set eth0 up
route add default via {layout.OUTSIDE}
route add default via {layout.OUTSIDE6}
"""
