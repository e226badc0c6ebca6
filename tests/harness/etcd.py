"""Real etcd clusters on loopback, with ephemeral ports and data on tmpfs, that end with the test."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.harness.wait import until

_FAST = Path("/dev/shm")
# The kernel means the thread when it ends children with their parent: this one lives as long as the tests.
_starter = ThreadPoolExecutor(1, thread_name_prefix="etcd-starter")


class EtcdMember:
    """One etcd process. `start` after `kill` goes on with its data."""

    def __init__(
        self, name: str, folder: Path, peers: dict[str, str], client: str, flags: tuple[str, ...], inside: Sequence[str]
    ) -> None:
        self.name = name
        self.url = client
        self._inside = inside
        self._folder = folder
        self._log = folder.with_suffix(".log")
        self._command = [
            *self._inside, "etcd", "--name", name, "--data-dir", str(folder),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peers[name], "--initial-advertise-peer-urls", peers[name],
            "--initial-cluster", ",".join(f"{member}={url}" for member, url in peers.items()),
            "--initial-cluster-token", folder.parent.name, *flags,
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = _starter.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with open(self._log, "ab") as log:
            return subprocess.Popen(self._command, stdout=log, stderr=log, preexec_fn=_end_with_parent)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        self.process.wait(30)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Kill it, with all that it knew."""
        self.kill()
        shutil.rmtree(self._folder)

    def call(
        self, path: str, body: dict[str, Any], timeout: float = 5, context: ssl.SSLContext | None = None
    ) -> dict[str, Any]:
        if self._inside:
            return self._call_inside(path, body, timeout)
        request = urllib.request.Request(self.url + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
            told: dict[str, Any] = json.loads(answer.read())
        return told

    def _call_inside(self, path: str, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        command = [*self._inside, "curl", "-sf", "-m", str(timeout), "-d", json.dumps(body), self.url + path]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise ConnectionError(f"curl ended with {done.returncode}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def healthy(self, context: ssl.SSLContext | None = None) -> bool:
        """A quorum answers through this member."""
        with suppress(OSError, ValueError):
            return "header" in self.call("/v3/kv/range", {"key": "AA=="}, timeout=2, context=context)
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()[-2000:]
        return False

    def leads(self) -> bool:
        with suppress(OSError, ValueError):
            status = self.call("/v3/maintenance/status", {})
            return bool(status["leader"] == status["header"]["member_id"])
        return False

    def revision(self) -> int:
        return int(self.call("/v3/kv/range", {"key": "AA=="})["header"]["revision"])

    def everything(self) -> bytes:
        """All that lies in its files, history too."""
        return b"".join(path.read_bytes() for path in self._folder.rglob("*") if path.is_file())

    def compact(self) -> None:
        """Forget all of etcd's history but the present. Does nothing where there is none."""
        with suppress(HTTPError):
            self.call("/v3/kv/compaction", {"revision": str(self.revision()), "physical": True}, timeout=30)

    def defragment(self) -> None:
        self.call("/v3/maintenance/defragment", {}, timeout=30)


class Etcd:
    def __init__(self, members: list[EtcdMember]) -> None:
        self.members = members

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.members]

    @property
    def store(self) -> str:
        """The address as Shoal's settings have it."""
        return "etcd://" + ",".join(url.partition("://")[2] for url in self.urls)

    @property
    def leader(self) -> EtcdMember:
        return until(lambda: next((m for m in self.members if m.leads()), None), "etcd has a leader")  # type: ignore[return-value]

    def start(self) -> None:
        for member in self.members:
            if member.process is None or member.process.poll() is not None:
                member.start()
        for member in self.members:
            until(member.healthy, f"etcd member {member.name} answers")

    def kill(self) -> None:
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                member.kill()


@contextmanager
def etcd(
    size: int = 1,
    *flags: str,
    scheme: str = "http",
    where: Path = _FAST,
    address: str = "127.0.0.1",
    inside: Sequence[str] = (),
) -> Iterator[Etcd]:
    """A running cluster of `size` members with their data in `where`, at `address`; `flags` go to each.

    `inside` is the beginning of a command line that enters another network namespace.
    """
    folder = Path(tempfile.mkdtemp(prefix="shoal-etcd-", dir=where))
    ports = _free_ports(2 * size)
    peers = {f"m{n}": f"http://{address}:{ports[n]}" for n in range(size)}
    urls = [f"{scheme}://{address}:{port}" for port in ports[size:]]
    cluster = Etcd(
        [EtcdMember(name, folder / name, peers, url, flags, inside) for name, url in zip(peers, urls, strict=True)]
    )
    try:
        if scheme == "http":
            cluster.start()
        else:  # whoever asks has to have a certificate
            for member in cluster.members:
                member.start()
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(folder)


_shared: list[Any] = []


def shared() -> Etcd:
    """One member for all tests that only need a prefix of their own; `end_shared` ends it."""
    if not _shared:
        running = etcd()
        _shared.extend([running, running.__enter__()])
    cluster: Etcd = _shared[1]
    return cluster


def end_shared() -> None:
    if _shared:
        _shared[0].__exit__(None, None, None)
        _shared.clear()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for each in sockets:
        each.close()
    return ports


def _end_with_parent() -> None:
    os.setpgrp()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
