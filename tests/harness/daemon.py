"""A real shoald in a network namespace of its own, with an outside network, for integration tests and benchmarks.

    outside namespace (198.18.N.1) ── veth ── daemon's namespace (198.18.N.2)

Data lies on tmpfs: many small files on the root disk are slow.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.harness.machine import Snapshot, run, snapshot
from tests.harness.wait import until

REPO = Path(__file__).resolve().parents[2]
_FAST = Path("/dev/shm")


class Daemon:
    """`folder` holds root, state and the log; `netns` and `outside` are its namespaces. Make one with `daemon()`.

    One that is made `beside` another lives in that one's namespaces.
    """

    def __init__(self, name: str, folder: Path, *flags: str, beside: Daemon | None = None) -> None:
        self.name = name
        self.folder = folder
        self.root = folder / "root"
        self.state = folder / "state"
        self.log = folder / "shoald.log"
        self.socket = self.state / "shoal.sock"
        self.guest = beside is not None
        host = beside.name if beside else name
        self.netns = f"sh-{host}"
        self.outside = f"sh-{host}-out"
        self.flags = flags
        self.process: subprocess.Popen[bytes] | None = None
        number = int(host, 16) % 250
        self.address, self.outside_address = f"198.18.{number}.2", f"198.18.{number}.1"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` in the daemon's network namespace."""
        return ["nsenter", f"--net=/run/netns/{self.netns}", "--", *command]

    def make_host(self) -> None:
        for netns in (self.netns, self.outside):
            run("ip", "netns", "add", netns)
            run("ip", "-n", netns, "link", "set", "lo", "up")
        run(
            "ip", "-n", self.netns, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.outside
        )
        for netns, address in ((self.netns, self.address), (self.outside, self.outside_address)):
            run("ip", "-n", netns, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", netns, "link", "set", "eth0", "up")
        run("ip", "-n", self.netns, "route", "add", "default", "via", self.outside_address)

    def start(self, *, wait: bool = True, env: dict[str, str] | None = None) -> None:
        command = self.inside(
            sys.executable, "-m", "shoal", "daemon", "--root", str(self.root), "--state", str(self.state)
        )
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPO,
                env={**os.environ, "PYTHONPATH": str(REPO), "RES_OPTIONS": "timeout:1 attempts:1", **(env or {})},
                start_new_session=True,
            )
        if wait:
            until(self.answers, f"{self.name} answers; its log:\n{self.tail()}")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"shoald ended with {self.process.returncode}:\n{self.tail()}"
        return self.socket.exists() and "OK" in self.curl("/_ping", check=False)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def curl(self, path: str, *options: str, check: bool = True) -> str:
        return run("curl", "-sS", "--unix-socket", str(self.socket), *options, f"http://d{path}", check=check)

    def docker(self, *arguments: str, check: bool = True, stdin: str | None = None, timeout: float = 120) -> str:
        """The docker command line against this daemon: its standard output."""
        return run("docker", "-H", self.url, *arguments, check=check, stdin=stdin, timeout=timeout)

    def docker_result(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same with exit code and standard error."""
        return subprocess.run(
            ["docker", "-H", self.url, *arguments],
            capture_output=True,
            text=True,
            input=stdin,
            timeout=120,
            check=False,
        )

    def shoal(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Our own command line against this daemon."""
        return subprocess.run(
            [sys.executable, "-m", "shoal", "-H", self.url, *arguments],
            capture_output=True, text=True, input=stdin, timeout=120, check=False, cwd=REPO,
        )  # fmt: skip

    def client(self, **options: Any) -> Any:
        """A docker-py client."""
        import docker

        return docker.DockerClient(base_url=self.url, timeout=120, **options)

    def snapshot(self) -> Snapshot:
        from common.settings import Settings

        cgroup = Settings(root=self.root, state=self.state).cgroup_root
        return snapshot([self.root, self.state], self.netns, cgroup)

    def remove(self) -> None:
        """End the daemon and everything it started, and take namespaces and folders away."""
        if self.process is not None and self.process.poll() is None:
            for container in self.docker("ps", "-aq", check=False).split():
                self.docker("rm", "-f", "-v", container, check=False)
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self._sweep()
        for netns in () if self.guest else (self.netns, self.outside):
            run("ip", "netns", "del", netns, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sweep(self) -> None:
        """After a failed test: kill the containers' monitors and processes that are left, unmount what is mounted."""
        for line in self.snapshot().processes:
            pid = int(line.split()[0])
            for child in run("ps", "-o", "pid=", "--ppid", str(pid), check=False).split():
                _kill(int(child))
            _kill(pid)
        for point in sorted(self.snapshot().mounts, reverse=True):
            run("umount", "-l", point, check=False)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def daemon(*flags: str, start: bool = True, beside: Daemon | None = None) -> Iterator[Daemon]:
    """A daemon in its own namespaces (or those of the one it is `beside`), folders on tmpfs; everything is gone afterwards."""
    name = os.urandom(3).hex()
    folder = _FAST / f"shoal-{name}"
    folder.mkdir()
    made = Daemon(name, folder, *flags, beside=beside)
    try:
        if not made.guest:
            made.make_host()
        if start:
            made.start()
        yield made
    finally:
        made.remove()
