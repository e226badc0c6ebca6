"""The command line against a real daemon: streams, terminals, exit codes, copies, services."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import REPO, Daemon
from tests.harness.wait import until

HEAVY = ("aiohttp", "rich", "msgspec", "ssl", "asyncio", "yaml", "email", "http", "urllib", "dataclasses", "subprocess")


def ok(daemon: Daemon, *arguments: str, stdin: str | None = None) -> str:
    """Standard output of a command that must succeed."""
    result = daemon.shoal(*arguments, stdin=stdin)
    assert result.returncode == 0, f"{arguments}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


@contextmanager
def container(daemon: Daemon, *arguments: str) -> Iterator[str]:
    """A container that `run -d` made; removed afterwards."""
    name = ok(daemon, "run", "-d", *arguments).strip()
    try:
        yield name
    finally:
        daemon.shoal("rm", "-f", "-v", name)


class Terminal:
    """A `shoal` process on a pseudo-terminal of its own."""

    def __init__(self, daemon: Daemon, *arguments: str, rows: int = 30, columns: int = 100) -> None:
        self.master, self._slave = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._slave)
        self.output = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "shoal", "-H", daemon.url, *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=REPO,
            env={**os.environ, "TERM": "xterm"},
        )

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, text: str, timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while text.encode() not in self.output:
            ready, _, _ = select.select([self.master], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{text!r} did not come: {self.output!r}"
            self.output += os.read(self.master, 65536)

    def end(self) -> int:
        code = self.process.wait(20)
        assert termios.tcgetattr(self._slave) == self.before, "the terminal was not put back"
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)


@contextmanager
def terminal(daemon: Daemon, *arguments: str, **size: int) -> Iterator[Terminal]:
    made = Terminal(daemon, *arguments, **size)
    try:
        yield made
    finally:
        made.close()


def background(daemon: Daemon, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shoal", "-H", daemon.url, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPO,
        text=True,
    )


def test_version_loads_nothing_that_it_does_not_need(shoald: Daemon) -> None:
    program = (
        "import sys; from cli.main import run; code = run(sys.argv[2:]); "
        "print([name for name in sys.argv[1].split(',') if name in sys.modules]); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, ",".join(HEAVY), "-H", shoald.url, "version"],
        capture_output=True,
        text=True,
        cwd=REPO,
        check=True,
    )
    assert "Server:" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


def test_run_gives_streams_and_exit_code(shoald: Daemon) -> None:
    result = shoald.shoal("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_run_feeds_its_input(shoald: Daemon) -> None:
    text = "line\n" * 50_000
    assert ok(shoald, "run", "--rm", "-i", "busybox", "cat", stdin=text) == text


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("--pull", "never", "nosuchimage"), 125, "No such image"),
        (("localhost:9/nosuchimage",), 125, "registry localhost:9 cannot be reached"),
        (("busybox", "nosuchcommand"), 127, "nosuchcommand"),
        (("busybox", "/etc/passwd"), 126, "permission denied"),
        (("--memory", "1", "busybox"), 125, "emory"),
    ],
)
def test_exit_codes_of_run(shoald: Daemon, arguments: tuple[str, ...], code: int, part: str) -> None:
    result = shoald.shoal("run", "--rm", *arguments)
    assert (result.returncode, part in result.stderr) == (code, True), result.stderr


def test_a_terminal_of_its_own(shoald: Daemon) -> None:
    with terminal(shoald, "run", "--rm", "-it", "busybox", "sh", rows=33, columns=99) as shell:
        shell.wait_for("# ")
        shell.type("echo $((40+2)); stty size\n")
        shell.wait_for("42")
        shell.wait_for("33 99")
        shell.resize(44, 111)
        shell.process.send_signal(signal.SIGWINCH)
        shell.type("stty size; exit 5\n")
        shell.wait_for("44 111")
        assert shell.end() == 5


def test_a_terminal_has_its_size_from_the_first_moment(shoald: Daemon) -> None:
    with terminal(shoald, "run", "--rm", "-it", "busybox", "stty", "size", rows=33, columns=99) as shell:
        shell.wait_for("33 99")
        assert shell.end() == 0
    size = (
        "sh",
        "-c",
        "until stty size 2>/dev/null; do :; done",
    )  # an exec may be a moment ahead of its terminal's size
    with (
        container(shoald, "busybox", "sleep", "1000") as name,
        terminal(shoald, "exec", "-it", name, *size, rows=21, columns=64) as shell,
    ):
        shell.wait_for("21 64")
        assert shell.end() == 0


def test_detach_and_attach(shoald: Daemon) -> None:
    with terminal(shoald, "run", "-it", "--name", "kept", "busybox", "sh") as shell:
        shell.wait_for("# ")
        shell.type("\x10\x11")
        assert shell.end() == 0
    try:
        assert ok(shoald, "inspect", "-f", "{{.State.Running}}", "kept") == "true\n"
        with terminal(shoald, "attach", "--detach-keys", "x,y", "kept") as shell:
            shell.type("echo again$((1+1))\n")
            shell.wait_for("again2")
            shell.type("xy")
            assert shell.end() == 0
        with terminal(shoald, "attach", "kept") as shell:
            shell.type("exit 3\n")
            assert shell.end() == 3
    finally:
        shoald.shoal("rm", "-f", "kept")


def test_exec(shoald: Daemon) -> None:
    with container(shoald, "-e", "A=1", "busybox", "sleep", "1000") as name:
        assert ok(shoald, "exec", "-e", "B=2", "-w", "/tmp", name, "sh", "-c", "echo $A$B $PWD") == "12 /tmp\n"
        assert ok(shoald, "exec", "-i", name, "cat", stdin="in\n") == "in\n"
        assert shoald.shoal("exec", name, "sh", "-c", "exit 9").returncode == 9
        assert shoald.shoal("exec", name, "nosuchcommand").returncode == 127
        with terminal(shoald, "exec", "-it", name, "sh") as shell:
            shell.type("tty; exit 4\n")
            shell.wait_for("/dev/pts/")
            assert shell.end() == 4


def test_signals_are_passed_on(shoald: Daemon) -> None:
    script = "trap 'echo caught; exit 8' TERM; echo ready; while :; do sleep 0.1; done"
    process = background(shoald, "run", "--rm", "busybox", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (8, "caught\n", "")


def test_following_logs_and_stopping(shoald: Daemon) -> None:
    with container(shoald, "busybox", "sh", "-c", "echo one; echo two >&2; sleep 1000") as name:
        until(lambda: "one" in ok(shoald, "logs", name), "the log has its line")
        result = shoald.shoal("logs", name)
        assert (result.stdout, result.stderr) == ("one\n", "two\n")
        assert re.match(r"\d{4}-\S+Z one\n", ok(shoald, "logs", "--tail", "all", "-t", name))
        process = background(shoald, "logs", "-f", name)
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in err


def test_a_reader_that_goes_away(shoald: Daemon) -> None:
    with container(shoald, "busybox", "sh", "-c", "yes | head -n 100000; sleep 1000") as name:
        command = f"{sys.executable} -m shoal -H {shoald.url} logs -f {name} | head -n 1"
        result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=REPO, timeout=60, check=False)
        assert (result.stdout, result.stderr) == ("y\n", "")


def test_lists_and_inspection(shoald: Daemon) -> None:
    with container(shoald, "--name", "listed", "-l", "tier=front", "-p", "8081:80", "busybox", "sleep", "1000") as name:
        assert ok(shoald, "ps", "-q", "-f", "name=listed") == f"{name[:12]}\n"
        assert "0.0.0.0:8081->80/tcp" in ok(shoald, "ps", "-f", "name=listed")
        row = json.loads(ok(shoald, "ps", "-f", "label=tier=front", "--json"))
        assert (row["Names"], row["State"]) == ("listed", "running")
        assert ok(shoald, "inspect", "-f", '{{index .Config.Labels "tier"}}', "listed") == "front\n"
        assert "80/tcp -> 0.0.0.0:8081" in ok(shoald, "port", "listed")
        assert "sleep 1000" in ok(shoald, "top", "listed")
        assert "listed" in ok(shoald, "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", "listed")
        ok(shoald, "rename", "listed", "renamed")
        ok(shoald, "update", "--memory", "64m", "renamed")
        assert ok(shoald, "inspect", "-f", "{{.HostConfig.Memory}}", "renamed") == f"{64 << 20}\n"
        ok(shoald, "pause", "renamed")
        assert "(Paused)" in ok(shoald, "ps")
        ok(shoald, "unpause", "renamed")
        ok(shoald, "stop", "-t", "0", "renamed")
        assert ok(shoald, "wait", "renamed") == "137\n"
        events = ok(
            shoald, "events", "--since", "5m", "--until", "0s", "-f", f"container={name}", "--format", "{{.Action}}"
        )
        assert {"create", "start", "rename", "pause", "unpause", "die"} <= set(events.split())


def test_copies(shoald: Daemon, tmp_path: Path) -> None:
    (tmp_path / "src/sub").mkdir(parents=True)
    (tmp_path / "src/sub/file").write_text("text")
    (tmp_path / "src/link").symlink_to("sub/file")
    with container(shoald, "busybox", "sleep", "1000") as name:
        ok(shoald, "cp", f"{tmp_path}/src", f"{name}:/tmp/copy")
        ok(shoald, "cp", f"{tmp_path}/src/.", f"{name}:/tmp")
        assert ok(shoald, "exec", name, "cat", "/tmp/copy/link", "/tmp/sub/file") == "texttext"
        ok(shoald, "cp", f"{name}:/tmp/copy", f"{tmp_path}/back")
        assert (tmp_path / "back/sub/file").read_text() == "text"
        assert (tmp_path / "back/link").readlink() == Path("sub/file")
        ok(shoald, "cp", f"{name}:/tmp/copy/sub/file", f"{tmp_path}/back")
        assert (tmp_path / "back/file").read_text() == "text"
        assert shoald.shoal("cp", f"{name}:/nosuch", str(tmp_path)).returncode == 1
        assert "C /tmp" in ok(shoald, "diff", name)


def test_images(shoald: Daemon, tmp_path: Path) -> None:
    with container(shoald, "busybox", "sh", "-c", "echo made > /made; sleep 1000") as name:
        until(lambda: "/made" in ok(shoald, "diff", name), "the file is there")
        ok(shoald, "commit", "-m", "a change", name, "made:1")
        ok(shoald, "export", "-o", f"{tmp_path}/fs.tar", name)
    try:
        assert ok(shoald, "run", "--rm", "made:1", "cat", "/made") == "made\n"
        assert "a change" in ok(shoald, "history", "made:1")
        ok(shoald, "tag", "made:1", "made:2")
        ok(shoald, "save", "-o", f"{tmp_path}/made.tar", "made:1", "made:2")
        ok(shoald, "rmi", "made:1", "made:2")
        assert ok(shoald, "images", "-q", "made") == ""
        assert "made:2" in ok(shoald, "load", "-i", f"{tmp_path}/made.tar")
        ok(shoald, "import", f"{tmp_path}/fs.tar", "made:3")
        assert sorted(ok(shoald, "images", "--format", "{{.Tag}}", "made").split()) == ["1", "2", "3"]
    finally:
        shoald.shoal("rmi", "-f", "made:1", "made:2", "made:3")


def test_networks_and_volumes(shoald: Daemon) -> None:
    ok(shoald, "network", "create", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.1", "back")
    ok(shoald, "volume", "create", "--label", "a=b", "data")
    try:
        with container(
            shoald, "--network", "back", "--ip", "10.77.0.9", "-v", "data:/data", "busybox", "sleep", "1000"
        ) as name:
            address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            assert ok(shoald, "inspect", "-f", address, name) == "10.77.0.9\n"
            assert shoald.shoal("volume", "rm", "data").returncode == 1
            ok(shoald, "network", "disconnect", "back", name)
            ok(shoald, "network", "connect", "--alias", "www", "back", name)
        assert ok(shoald, "volume", "ls", "-q", "-f", "label=a=b") == "data\n"
        assert "back" in ok(shoald, "network", "ls")
    finally:
        shoald.shoal("network", "rm", "back")
        shoald.shoal("volume", "rm", "data")
    assert "Total reclaimed space" in ok(shoald, "system", "prune", "-f")
    assert "Images" in ok(shoald, "system", "df")


@pytest.fixture
def swarm(shoald: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setenv("SHOAL_SERVICE_MONITOR", "0.5")
    until(lambda: ok(shoald, "info", "-f", "{{.Swarm.LocalNodeState}}") == "active\n", "the swarm is active")
    return shoald


def task_states(daemon: Daemon, service: str) -> list[Any]:
    lines = ok(
        daemon, "service", "ps", "-f", "desired-state=running", "--format", "{{.Name}} {{.CurrentState}}", service
    )
    return [" ".join(line.split()[:2]) for line in lines.splitlines()]


def test_services(swarm: Daemon) -> None:
    flags = ("--name", "web", "--replicas", "2", "--stop-grace-period", "0s", "-e", "A=1")
    out = ok(swarm, "service", "create", *flags, "busybox", "sh", "-c", "echo up $A; sleep 1000")
    assert "overall progress: 2 out of 2 tasks" in out
    assert "converged" in out
    try:
        assert task_states(swarm, "web") == ["web.1 Running", "web.2 Running"]
        assert "3 out of 3" in ok(swarm, "service", "scale", "web=3")
        assert ok(swarm, "service", "ls", "--format", "{{.Name}} {{.Replicas}}") == "web 3/3\n"
        ok(
            swarm,
            "service",
            "update",
            "--env-add",
            "A=2",
            "--update-parallelism",
            "0",
            "--update-monitor",
            "100ms",
            "web",
        )
        until(lambda: ok(swarm, "service", "logs", "--raw", "web").count("up 2") == 3, "the new tasks have logged")
        assert "| up 2" in ok(swarm, "service", "logs", "web")
        ok(swarm, "service", "rollback", "web")
        env = ok(swarm, "service", "inspect", "-f", "{{json .Spec.TaskTemplate.ContainerSpec.Env}}", "web")
        assert env == '["A=1"]\n'
        assert "Replicated" in ok(swarm, "service", "inspect", "--pretty", "web")
    finally:
        swarm.shoal("service", "rm", "web")
    assert swarm.shoal("service", "ps", "web").returncode == 1


def test_a_service_that_cannot_start(swarm: Daemon) -> None:
    with terminal(
        swarm, "service", "create", "--name", "never", "--constraint", "node.labels.x==y", "busybox"
    ) as screen:
        screen.wait_for("no suitable node")
        screen.type("\x03")
        screen.wait_for("Operation continuing in background")
        assert screen.process.wait(20) == 0
    swarm.shoal("service", "rm", "never")


def test_secrets_configs_and_nodes(swarm: Daemon, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("content")
    ok(swarm, "secret", "create", "-l", "a=b", "key", "-", stdin="s3cret")
    ok(swarm, "config", "create", "conf", str(tmp_path / "conf"))
    try:
        assert ok(swarm, "secret", "ls", "--format", "{{.Name}}") == "key\n"
        assert "content" in ok(swarm, "config", "inspect", "--pretty", "conf")
        show = "cat /run/secrets/key /etc/conf; sleep 1000"
        flags = (
            "--name",
            "reader",
            "--secret",
            "key",
            "--config",
            "source=conf,target=/etc/conf",
            "--stop-grace-period",
            "0s",
        )
        ok(swarm, "service", "create", *flags, "busybox", "sh", "-c", show)
        until(lambda: "s3cretcontent" in ok(swarm, "service", "logs", "--raw", "reader"), "the task has read both")
    finally:
        swarm.shoal("service", "rm", "reader")
        until(lambda: swarm.shoal("secret", "rm", "key").returncode == 0, "the secret is free")
        swarm.shoal("config", "rm", "conf")
    node = ok(swarm, "node", "ls", "-q").strip()
    ok(swarm, "node", "update", "--label-add", "zone=a", node)
    assert ok(swarm, "node", "inspect", "self", "-f", "{{.Spec.Labels.zone}}") == "a\n"
    assert "Leader" in ok(swarm, "node", "ls")


STACK = """
services:
  web:
    image: busybox
    command: sh -c "cat /site/page; sleep 1000"
    configs: [{source: page, target: /site/page}]
    networks: [front]
    stop_grace_period: 0s
    deploy: {replicas: 2, update_config: {parallelism: 0, monitor: 100ms}}
networks: {front: {}}
configs: {page: {file: ./page.html, name: "page-${RELEASE:-1}"}}
"""


def test_a_stack(swarm: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compose.yml").write_text(STACK)
    deploy = ("stack", "deploy", "--detach=false", "-c", f"{tmp_path}/compose.yml", "shop")
    try:
        for release in ("1", "2"):
            monkeypatch.setenv("RELEASE", release)
            (tmp_path / "page.html").write_text(f"release {release}")
            assert "converged" in ok(swarm, *deploy)
            wanted = f"release {release}"
            until(lambda: ok(swarm, "service", "logs", "--raw", "shop_web").count(wanted) == 2, wanted)  # noqa: B023
        assert ok(swarm, "stack", "ls", "--format", "{{.Name}} {{.Services}}") == "shop 1\n"
        assert "shop_web.1" in ok(swarm, "stack", "ps", "shop")
        assert "2/2" in ok(swarm, "stack", "services", "shop")
    finally:
        swarm.shoal("stack", "rm", "shop")
    assert ok(swarm, "stack", "ls", "--format", "{{.Name}}") == ""


def test_what_a_service_refers_to_can_change(swarm: Daemon) -> None:
    ok(swarm, "network", "create", "-d", "overlay", "side")
    ok(swarm, "secret", "create", "later", "-", stdin="x")
    ok(swarm, "service", "create", "-d", "--name", "changing", "--stop-grace-period", "0s", "busybox", "sleep", "1000")
    attached = "{{range .Spec.TaskTemplate.Networks}}{{.Target}} {{end}}"
    secrets = "{{range .Spec.TaskTemplate.ContainerSpec.Secrets}}{{.SecretName}} {{end}}"
    try:
        ok(swarm, "service", "update", "-d", "--network-add", "side", "--secret-add", "later", "changing")
        network = ok(swarm, "network", "inspect", "-f", "{{.Id}}", "side").strip()
        assert ok(swarm, "service", "inspect", "-f", attached + secrets, "changing") == f"{network} later \n"
        ok(swarm, "service", "update", "-d", "--network-rm", "side", "--secret-rm", "later", "changing")
        assert ok(swarm, "service", "inspect", "-f", attached + secrets, "changing") == "\n"
    finally:
        swarm.shoal("service", "rm", "changing")
        for kind, name in (("network", "side"), ("secret", "later")):
            until(lambda: swarm.shoal(kind, "rm", name).returncode == 0, f"{name} is free")  # noqa: B023
