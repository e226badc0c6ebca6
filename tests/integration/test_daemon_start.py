"""What a daemon cannot start with: one sentence and exit code 1. And the TCP socket, for clients with a certificate only."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.certificates import Authority
from tests.harness.daemon import REPO, Daemon, daemon
from tests.harness.machine import run
from tests.harness.netns import socket_in


@pytest.fixture(scope="module")
def host() -> Iterator[Daemon]:
    """A daemon's namespaces and folder, without the daemon."""
    with daemon(start=False) as made:
        yield made


def launch(host: Daemon, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shoal", "daemon", "--root", str(host.root), "--state", str(host.state), *flags]
    return subprocess.run(host.inside(*command), capture_output=True, text=True, timeout=30, cwd=REPO, check=False)


def refused(host: Daemon, *flags: str) -> str:
    """The sentence with which a daemon with these flags ends."""
    done = launch(host, *flags)
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, len(said)) == (1, 1), done.stderr
    assert done.stdout == ""
    assert said[0].startswith("shoald: ")
    return said[0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--root", "/proc/shoal"], "the root folder /proc/shoal cannot be used"),
        (
            ["--root", "/bin/busybox"],
            "the root folder /bin/busybox cannot be used (File exists): choose another one by --root",
        ),
        (["--state", "/bin/busybox/x"], "the state folder /bin/busybox/x cannot be used (Not a directory)"),
        (["--runtime", "/bin/false"], "/bin/false is no OCI runtime: it does not answer --version"),
        (["--runtime", "no-such-runtime"], "runtime 'no-such-runtime' is not on this machine: install it"),
        (["--conmon", "/bin/false"], "/bin/false is no conmon: it does not answer --version"),
        (
            ["--state", "/dev/shm/" + "x" * 120],
            "more than 107 bytes, which the kernel does not take: choose a shorter --state",
        ),
        (["--hosts", "unix:///bin/busybox/x.sock"], "cannot listen on unix:///bin/busybox/x.sock"),
        (["--hosts", "tcp://127.0.0.1:2375"], "needs mutual TLS: give --tls-ca, --tls-cert, --tls-key too"),
    ],
)
def test_a_daemon_that_cannot_start_says_why(host: Daemon, flags: list[str], words: str) -> None:
    assert words in refused(host, *flags)


def test_a_root_on_a_file_system_without_overlays_is_refused(host: Daemon) -> None:
    point, *layers = (host.folder / name for name in ("overlay", "lower", "upper", "work"))
    for folder in (point, *layers):
        folder.mkdir()
    options = ",".join(f"{layer.name}dir={layer}" for layer in layers)
    run("mount", "-t", "overlay", "overlay", "-o", options, str(point))
    try:
        assert "a --root that lies on ext4, xfs, btrfs or tmpfs, not on an overlayfs" in refused(
            host, "--root", str(point)
        )
    finally:
        run("umount", str(point))


def test_a_root_that_cannot_be_written_is_refused(host: Daemon) -> None:
    point = host.folder / "readonly"
    point.mkdir()
    run("mount", "-t", "tmpfs", "-o", "ro", "x", str(point))
    try:
        assert f"the root folder {point} cannot be used (Read-only file system)" in refused(host, "--root", str(point))
    finally:
        run("umount", str(point))


def test_check_prints_the_settings_and_starts_nothing(host: Daemon) -> None:
    done = launch(host, "--check", "--labels", "zone=a")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["labels"] == ["zone=a"]
    assert not host.socket.exists()
    bad = launch(host, "--check", "--log-level", "loud")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == "shoald: invalid log-level 'loud': known are debug, info, warning, error\n"


@pytest.fixture(scope="module")
def authority(host: Daemon) -> Authority:
    made = Authority(host.folder / "pki")
    made.issue("server", use="server")
    made.issue("client", use="client")
    return made


def tls_flags(authority: Authority, key: str = "server") -> list[str]:
    folder = authority.folder
    return [f"--tls-ca={authority.file}", f"--tls-cert={folder}/server.pem", f"--tls-key={folder}/{key}-key.pem"]


def test_a_taken_port_is_said(host: Daemon, authority: Authority) -> None:
    with socket_in(Path("/run/netns") / host.netns, "127.0.0.1:2377"):
        said = refused(host, "--hosts", "tcp://127.0.0.1:2377", *tls_flags(authority))
    assert said == "shoald: cannot listen on tcp://127.0.0.1:2377: Address already in use"


def test_a_key_of_another_certificate_is_said(host: Daemon, authority: Authority) -> None:
    said = refused(host, "--hosts", "tcp://127.0.0.1:2377", *tls_flags(authority, "client"))
    assert "cannot be used" in said
    assert "the key is the certificate's" in said


def test_a_socket_of_another_daemon_is_not_taken_away(host: Daemon) -> None:
    path = host.folder / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert f"another daemon already listens on unix://{path}" in refused(host, "--hosts", f"unix://{path}")
    assert path.exists()


@contextmanager
def serving(host: Daemon, *flags: str) -> Iterator[None]:
    host.flags = flags
    host.start()
    try:
        yield
    finally:
        assert host.stop() == 0


def test_tcp_is_for_clients_with_a_certificate_of_the_ca(host: Daemon, authority: Authority) -> None:
    stranger = Authority(host.folder / "stranger")
    stranger.issue("client", use="client")

    def docker(ca: Path, pki: Path | None) -> subprocess.CompletedProcess[str]:
        own = [f"--tlscert={pki}/client.pem", f"--tlskey={pki}/client-key.pem"] if pki else []
        command = ["docker", "-H", "tcp://127.0.0.1:2376", "--tlsverify", f"--tlscacert={ca}", *own, "ps", "-q"]
        env = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(host.folder / "home")}
        return subprocess.run(host.inside(*command), capture_output=True, text=True, timeout=30, env=env, check=False)

    flags = ("--hosts", f"unix://{host.socket}", "--hosts", "tcp://127.0.0.1:2376", *tls_flags(authority))
    with serving(host, *flags):
        good = docker(authority.file, authority.folder)
        assert (good.returncode, good.stdout) == (0, ""), good.stderr
        for bad in (docker(authority.file, None), docker(authority.file, stranger.folder)):
            assert bad.returncode == 1
            assert "error during connect" in bad.stderr
        assert docker(stranger.file, authority.folder).returncode == 1
        plain = run(*host.inside("curl", "-sS", "-m", "5", "http://127.0.0.1:2376/_ping"), check=False)
        assert "OK" not in plain
        assert host.docker("ps", "-q") == ""
    assert "Traceback" not in host.tail(1000)
