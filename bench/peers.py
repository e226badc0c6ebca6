"""The daemons that are measured: ours and, where it is installed, Docker's. Each in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.client import Client
from tests.harness.daemon import Daemon, daemon
from tests.harness.images import busybox_archive
from tests.harness.machine import run

IMAGE = "busybox:latest"
_FAST = Path("/dev/shm")
# Clients start as users start them: unbuffered output and modules compiled anew at each start are for developers.
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@dataclass
class Peer:
    """A running daemon: its name, its API and the pids that are its own (not its containers')."""

    name: str
    socket: Path
    client: Client
    main_pid: int

    def image_id(self) -> str:
        """Docker's Swarm would try to pull a name, but takes an id as it is."""
        return str(self.client.get(f"/images/{IMAGE}/json")["Id"])

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def swarm(self) -> None:
        """Make it a cluster of one, where it is not one from the start."""
        if self.name == "docker":
            self.client.post("/swarm/init", {"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"})


@contextmanager
def shoal() -> Iterator[tuple[Peer, Daemon]]:
    with daemon() as ours:
        client = Client(ours.socket)
        client.load(busybox_archive())
        assert ours.process is not None
        yield Peer("shoal", ours.socket, client, ours.process.pid), ours
        client.close()


@contextmanager
def docker() -> Iterator[Peer | None]:
    """dockerd with private folders; None where it is not installed."""
    if shutil.which("dockerd") is None:
        yield None
        return
    folder = _FAST / f"shoal-bench-{os.getpid()}"
    netns = f"bench-{os.getpid()}"
    folder.mkdir()
    run("ip", "netns", "add", netns)
    run("ip", "-n", netns, "link", "set", "lo", "up")
    process = _dockerd(folder, netns)
    try:
        peer = _ready(folder, process)
        yield peer
        _empty(peer)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        _sweep(folder)
        run("ip", "netns", "del", netns, check=False)


def _dockerd(folder: Path, netns: str) -> subprocess.Popen[bytes]:
    config = folder / "daemon.json"
    config.write_text("{}")
    command = ["nsenter", f"--net=/run/netns/{netns}", "--", "dockerd", "--config-file", str(config)]
    command += ["--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    command += ["--pidfile", str(folder / "pid"), "--host", f"unix://{folder}/docker.sock"]
    command += ["--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"]
    command += ["--cgroup-parent", f"/bench-{os.getpid()}"]
    with open(folder / "log", "wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _ready(folder: Path, process: subprocess.Popen[bytes]) -> Peer:
    socket = folder / "docker.sock"
    deadline = time.monotonic() + 60
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"dockerd did not come up:\n{(folder / 'log').read_text()[-2000:]}")
        try:
            client = Client(socket)
            client.ping()
            break
        except OSError:
            time.sleep(0.1)
    client.load(busybox_archive())
    return Peer("docker", socket, client, process.pid)


def _empty(peer: Peer) -> None:
    for container in peer.client.get("/containers/json?all=1"):
        peer.client.delete(f"/containers/{container['Id']}?force=1&v=1")
    peer.client.close()


def _sweep(folder: Path) -> None:
    """Unmount what dockerd left below its folder, and remove that."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        run("umount", "-l", point, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    for controller in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        _remove_cgroups(controller / f"bench-{os.getpid()}")


def _remove_cgroups(folder: Path) -> None:
    if folder.is_dir():
        for path, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                os.rmdir(path)
