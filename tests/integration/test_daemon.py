"""The daemon's life: stops, crashes, restarts, its manager, other daemons beside it. No end of it touches a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import REPO, Daemon, daemon
from tests.harness.images import busybox_archive
from tests.harness.machine import run
from tests.harness.services import WEB, Services
from tests.harness.wait import until

SLEEP = ("sleep", "100000")
UNTIL_GO = "echo before; while [ ! -e /go ]; do sleep 0.02; done; echo after; exit 7"
ECHO = "trap 'exit 0' TERM; while read line; do echo got $line; done"


@pytest.fixture
def node(shoald: Daemon) -> Iterator[Daemon]:
    """The module's daemon, running again and without containers after each test."""
    yield shoald
    if shoald.process is None or shoald.process.poll() is not None:
        shoald.start()
    for container in shoald.docker("ps", "-aq").split():
        shoald.docker("rm", "-f", "-v", container)


def state(node: Daemon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node.docker("inspect", "--format", "{{json .State}}", name))
    return found


def start(node: Daemon, name: str, *options: str, command: tuple[str, ...] = SLEEP) -> int:
    """`docker run -d`; the pid of its process."""
    node.docker("run", "-d", "--name", name, *options, "busybox", *command)
    return int(state(node, name)["Pid"])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(word) for word in run("ps", "-o", "pid=", "--ppid", str(pid), check=False).split()]


def manager_of(node: Daemon) -> int:
    """The pid of the manager child."""

    def found() -> int | None:
        assert node.process is not None
        for pid in children(node.process.pid):
            if b"manager" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    return until(found, "the manager runs") or 0


@contextmanager
def following(node: Daemon, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A docker command that goes on, ended afterwards."""
    with subprocess.Popen(
        ["docker", "-H", node.url, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_sigterm_stops_the_daemon_and_nothing_else(node: Daemon) -> None:
    pid = start(node, "web")
    assert node.process is not None
    until(lambda: (node.state / "manager.sock").exists(), "the manager listens")
    started = children(node.process.pid)
    assert started
    assert node.stop() == 0
    assert not node.socket.exists()
    assert not (node.state / "manager.sock").exists()
    assert not any(alive(child) for child in started)
    assert alive(pid)
    assert "Traceback" not in node.tail(1000)
    node.start()
    assert (state(node, "web")["Pid"], state(node, "web")["Running"]) == (pid, True)


def test_sigterm_in_the_middle_of_requests_is_clean(node: Daemon) -> None:
    start(node, "web", command=("sh", "-c", "while :; do echo x; sleep 0.05; done"))
    with (
        following(node, "logs", "-f", "web") as logs,
        following(node, "events") as events,
        following(node, "stats", "web"),  # Docker's client goes on asking after the stream's end
    ):
        assert logs.stdout is not None
        assert logs.stdout.readline() == "x\n"
        assert node.stop() == 0
        for client in (logs, events):
            client.wait(10)
    assert "Traceback" not in node.tail(1000)


def test_a_killed_daemons_containers_are_taken_over(node: Daemon) -> None:
    pid = start(node, "ticker", command=("sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"))
    echo = start(node, "echo", "-i", command=("sh", "-c", ECHO))
    start(node, "paused")
    node.docker("pause", "paused")
    manager = manager_of(node)
    node.kill()
    until(lambda: not alive(manager), "the manager ends with its daemon")
    assert alive(pid)
    node.start()
    assert [state(node, name)["Pid"] for name in ("ticker", "echo")] == [pid, echo]
    assert state(node, "paused")["Status"] == "paused"
    with following(node, "logs", "-f", "ticker") as logs:
        assert logs.stdout is not None
        lines = [logs.stdout.readline() for _ in range(60)]
    assert lines == [f"tick {number}\n" for number in range(1, 61)]
    assert node.docker("exec", "ticker", "echo", "here") == "here\n"
    with following(node, "attach", "echo") as attached:
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write("you\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == "got you\n"
    node.docker("unpause", "paused")
    assert node.docker("exec", "paused", "echo", "awake") == "awake\n"
    node.docker("stop", "echo")
    assert state(node, "echo")["ExitCode"] == 0


def test_what_ended_without_a_daemon_is_told_by_the_next(node: Daemon) -> None:
    waiting = {"plain": (), "again": ("--restart", "always"), "gone": ("--rm",)}
    pids = {name: start(node, name, *options, command=("sh", "-c", UNTIL_GO)) for name, options in waiting.items()}
    victim = start(node, "victim")
    node.kill()
    for pid in pids.values():
        Path(f"/proc/{pid}/root/go").touch()
    os.kill(victim, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in (*pids.values(), victim)), "they have ended")
    node.start()
    ended = state(node, "plain")
    assert (ended["Status"], ended["ExitCode"], ended["Running"], ended["Pid"]) == ("exited", 7, False, 0)
    assert node.docker("logs", "plain") == "before\nafter\n"
    assert node.docker("wait", "plain") == "7\n"
    assert state(node, "victim")["ExitCode"] == 137
    until(lambda: "No such" in node.docker_result("inspect", "gone").stderr, "--rm is kept")
    until(lambda: node.docker("logs", "again").count("after") > 1, "the restart policy goes on")


def test_a_killed_manager_comes_back(node: Daemon) -> None:
    pid = start(node, "web")
    assert node.process is not None
    daemon_pid, manager = node.process.pid, manager_of(node)
    node.docker("secret", "create", "kept", "-", stdin="x")
    os.kill(manager, signal.SIGKILL)
    until(lambda: not alive(manager), "it ended")
    assert node.docker("secret", "ls", "--format", "{{.Name}}") == "kept\n"
    assert manager_of(node) != manager
    assert (node.process.pid, state(node, "web")["Pid"]) == (daemon_pid, pid)
    assert node.process.poll() is None
    node.docker("secret", "rm", "kept")

    def told() -> bool:
        node.docker("secret", "create", "new", "-", stdin="x")
        node.docker("secret", "rm", "new")
        return "secret create" in node.docker("events", "--since", "1m", "--until", "0s", "--filter", "secret=new")

    until(told, "the cluster's events are heard again")


def test_an_answer_that_breaks_off_does_not_look_complete(node: Daemon) -> None:
    with closing(Services(node)) as services:
        services.create("talker", command=("sh", "-c", "while :; do echo x; sleep 0.05; done"))
        services.until_running("talker", 1)
        with following(node, "service", "logs", "-f", "talker") as logs:
            assert logs.stdout is not None
            assert logs.stdout.readline()
            os.kill(manager_of(node), signal.SIGKILL)
            until(lambda: logs.poll() is not None, "the client notices")
            assert logs.returncode != 0
        services.remove("talker")


def test_a_second_daemon_on_the_same_folders_is_refused(node: Daemon) -> None:
    for name in ("root", "state"):
        other = node.folder / "other"
        folders = {"root": other / "root", "state": other / "state", name: node.folder / name}
        command = [sys.executable, "-m", "shoal", "daemon"]
        flags = [f"--{key}={path}" for key, path in folders.items()]
        done = subprocess.run(
            node.inside(*command, *flags), capture_output=True, text=True, timeout=30, cwd=REPO, check=False
        )
        sentence = f"shoald: another shoald already uses the {name} folder {node.folder / name}"
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert done.stderr.startswith(sentence)
    assert node.curl("/_ping") == "OK"


def test_two_daemons_share_one_network_namespace(node: Daemon) -> None:
    def fetch(port: int) -> str:
        return run(*node.inside("curl", "-sS", "-m", "3", f"http://127.0.0.1:{port}/"), check=False).strip()

    def serve(services: Services, port: int) -> None:
        """A container behind `port`, a service behind the next one."""
        start(services.daemon, "web", "-p", f"{port}:80", command=WEB)
        services.create("web", "--replicas", "2", "--publish", f"{port + 1}:80", command=WEB)

    def expect(services: Services, port: int) -> None:
        container = services.daemon.docker("ps", "-qf", "name=^web$").strip()
        tasks = services.until_running("web", 2)
        names = {task["Status"]["ContainerStatus"]["ContainerID"][:12] for task in tasks}
        until(lambda: fetch(port) == container, f"port {port}")
        until(lambda: fetch(port + 1) in names, f"service port {port + 1}")

    with daemon(beside=node) as other, closing(Services(node)) as ours, closing(Services(other)) as theirs:
        other.docker("load", "-i", str(busybox_archive()))
        serve(ours, 8081)
        serve(theirs, 8091)
        expect(ours, 8081)
        expect(theirs, 8091)
        ours.remove_all()
        theirs.remove_all()
        assert other.stop() == 0
        assert fetch(8081)
        assert fetch(8091), "no end of a daemon touches its containers' ports"
        other.start()
        other.docker("rm", "-f", "web")
        assert not fetch(8091)
        assert fetch(8081)


def test_a_fresh_machine_needs_no_configuration(node: Daemon) -> None:
    """With empty /etc/shoal, /var/lib and /run of its own, and an environment that holds nothing but the PATH."""
    node.stop()
    hide = "for d in /var/lib /run; do mount -t tmpfs tmpfs $d; done; exec env -i PATH=$PATH PYTHONPATH=$PWD "
    shell = f"{hide}{sys.executable} -m shoal daemon"
    command = node.inside("unshare", "--mount", "--propagation", "private", "sh", "-c", shell)
    log = node.folder / "fresh.log"
    with log.open("wb") as file, subprocess.Popen(command, cwd=REPO, stderr=file) as process:
        try:
            host = f"unix:///proc/{process.pid}/root/run/shoal/shoal.sock"
            until(
                lambda: (
                    subprocess.run(["docker", "-H", host, "version"], capture_output=True, check=False).returncode == 0
                ),
                "it answers",
            )
            run("docker", "-H", host, "load", "-i", str(busybox_archive()))
            assert run("docker", "-H", host, "run", "--rm", "busybox", "echo", "hello") == "hello\n"
            facts = run("docker", "-H", host, "info", "-f", "{{.DockerRootDir}} {{.Swarm.LocalNodeState}}")
            assert facts == "/var/lib/shoal active\n"
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
