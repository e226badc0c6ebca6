"""Attach, exec, logs, stats, top and resize, by the docker command line, docker-py and plain HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from tests.harness.daemon import Daemon
from tests.harness.wait import until

TICKING = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"


@pytest.fixture
def ticking(shoald: Daemon) -> Iterator[str]:
    """A container that writes a line twenty times a second."""
    name = f"ticking-{os.urandom(3).hex()}"
    shoald.docker("run", "-d", "--name", name, "busybox", "sh", "-c", TICKING)
    until(lambda: shoald.docker("logs", "--tail", "1", name), "the first line")
    yield name
    shoald.docker("rm", "-f", name)


def request(shoald: Daemon, path: str, *options: str) -> tuple[int, Any]:
    """Status and JSON of an API call by curl."""
    text = shoald.curl(path, "-w", "\n%{http_code}", *options)
    body, _, status = text.rpartition("\n")
    return int(status), json.loads(body) if body.strip() else None


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *argv: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.output = b""

    def expect(self, text: bytes, timeout: float = 20) -> None:
        """Read until `text` comes after what was read before."""
        start, deadline = len(self.output), time.monotonic() + timeout
        while text not in self.output[start:]:
            assert time.monotonic() < deadline, f"no {text!r} in {self.output!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.output += os.read(self.fd, 4096)
                except OSError:
                    raise AssertionError(f"ended without {text!r}: {self.output!r}") from None

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def exit_code(self) -> int:
        with suppress(OSError):
            while os.read(self.fd, 4096):
                pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def terminal(shoald: Daemon, *arguments: str) -> Terminal:
    return Terminal("docker", "-H", shoald.url, *arguments)


def test_run_keeps_streams_and_codes_apart(shoald: Daemon) -> None:
    done = shoald.docker_result("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_run_passes_stdin_and_its_end(shoald: Daemon) -> None:
    done = shoald.docker_result("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo end", stdin="a\nb\n")
    assert done.stdout == "a\nb\nend\n"


@pytest.mark.parametrize(("command", "code"), [("nope", 127), ("/etc", 126)])
def test_run_of_what_cannot_be_run(shoald: Daemon, command: str, code: int) -> None:
    assert shoald.docker_result("run", "--rm", "busybox", command).returncode == code


def test_a_large_output_arrives_whole(shoald: Daemon) -> None:
    expected = hashlib.md5("".join(f"{n}\n" for n in range(1, 300001)).encode(), usedforsecurity=False).hexdigest()
    done = shoald.docker("run", "--rm", "busybox", "sh", "-c", "seq 1 300000 | md5sum; seq 1 300000")
    assert done.split()[0] == expected
    text = done.partition("\n")[2]
    assert hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() == expected


def test_a_terminal(shoald: Daemon) -> None:
    shell = terminal(shoald, "run", "-it", "--rm", "busybox")
    shell.expect(b"# ")
    shell.type(b"tty; echo $TERM; exit 4\n")
    shell.expect(b"/dev/pts/0\r\nxterm\r\n")
    assert shell.exit_code() == 4


def test_detaching_leaves_it_running(shoald: Daemon) -> None:
    shell = terminal(shoald, "run", "-it", "--name", "left", "busybox")
    shell.expect(b"# ")
    shell.type(b"\x10\x11")
    assert shell.exit_code() == 0
    assert shoald.docker("inspect", "-f", "{{.State.Running}}", "left").strip() == "true"
    again = terminal(shoald, "attach", "--detach-keys", "ctrl-x,x", "left")
    again.type(b"echo it is $((1+1))\n")
    again.expect(b"it is 2")
    again.type(b"\x18x")
    again.exit_code()  # docker's own business: it calls the escape sequence an error here, but not in `run`
    last = terminal(shoald, "attach", "left")
    last.type(b"exit 5\n")
    last.expect(b"exit 5")
    assert last.exit_code() == 5
    shoald.docker("rm", "left")


def test_start_attaches_before_the_process_runs(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "first", "busybox", "echo", "at once")
    for _ in range(3):
        assert shoald.docker("start", "-a", "first") == "at once\n"
    shoald.docker("rm", "first")


def test_attach_wants_a_running_container(shoald: Daemon, ticking: str) -> None:
    shoald.docker("pause", ticking)
    status, answer = request(shoald, f"/containers/{ticking}/attach?stream=1&stdout=1", "-X", "POST")
    assert (status, "unpause the container before attach" in answer["message"]) == (409, True)
    shoald.docker("unpause", ticking)


async def test_attach_over_a_web_socket(shoald: Daemon) -> None:
    await asyncio.to_thread(shoald.docker, "run", "-di", "--name", "socket", "busybox", "cat")
    connector = aiohttp.UnixConnector(str(shoald.socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        url = "http://d/v1.44/containers/socket/attach/ws?stream=1&stdin=1&stdout=1"
        async with session.ws_connect(url) as socket, asyncio.timeout(10):
            await socket.send_bytes(b"hello\n")
            assert await socket.receive_bytes() == b"hello\n"
            await asyncio.to_thread(shoald.docker, "rm", "-f", "socket")
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


def test_a_slow_client_does_not_hold_the_container_up(shoald: Daemon) -> None:
    client = subprocess.Popen(
        ["docker", "-H", shoald.url, "run", "--name", "fast", "--log-driver", "none", "busybox", "seq", "1", "500000"],
        stdout=subprocess.PIPE,
    )
    until(lambda: shoald.docker("inspect", "-f", "{{.State.Status}}", "fast", check=False).strip() == "exited", "ended")
    output, _ = client.communicate(timeout=60)
    assert output == b"".join(b"%d\n" % number for number in range(1, 500001))
    shoald.docker("rm", "fast")


def test_exec_keeps_streams_and_codes_apart(shoald: Daemon, ticking: str) -> None:
    done = shoald.docker_result("exec", "-i", ticking, "sh", "-c", "cat; echo err >&2; exit 5", stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (5, "in\n", "err\n")
    assert shoald.docker_result("exec", ticking, "nope").returncode == 127


def test_exec_as_another_user_elsewhere(shoald: Daemon, ticking: str) -> None:
    flags = ["-u", "1000:50", "-w", "/tmp", "-e", "A=b"]
    text = shoald.docker("exec", *flags, ticking, "sh", "-c", "id -u; id -g; pwd; echo $A")
    assert text.split() == ["1000", "50", "/tmp", "b"]
    unknown = shoald.docker_result("exec", "-u", "nosuch", ticking, "true")
    assert unknown.returncode == 126
    assert "unable to find user nosuch" in unknown.stdout + unknown.stderr


def test_exec_privileged(shoald: Daemon, ticking: str) -> None:
    plain = shoald.docker("exec", ticking, "grep", "CapEff", "/proc/self/status")
    assert "a80425fb" in plain
    assert shoald.docker("exec", "--privileged", ticking, "grep", "CapEff", "/proc/self/status") != plain


def test_exec_on_a_terminal(shoald: Daemon, ticking: str) -> None:
    shell = terminal(shoald, "exec", "-it", ticking, "sh")
    shell.expect(b"# ")
    shell.type(b"exit 6\n")
    assert shell.exit_code() == 6


def test_exec_detached_and_inspected(shoald: Daemon, ticking: str) -> None:
    client = shoald.client()
    try:
        made = client.api.exec_create(ticking, ["sh", "-c", "exit 9"])["Id"]
        assert client.api.exec_inspect(made)["ExitCode"] is None
        client.api.exec_start(made, detach=True)
        until(lambda: client.api.exec_inspect(made)["ExitCode"] == 9, "the exec ends")
        seen = client.api.exec_inspect(made)
        assert (seen["Running"], seen["ProcessConfig"]["entrypoint"]) == (False, "sh")
    finally:
        client.close()
    status, answer = request(shoald, f"/exec/{made}/start", "-X", "POST")
    assert (status, "has already run" in answer["message"]) == (409, True)


def test_exec_events(shoald: Daemon, ticking: str) -> None:
    since = f"{time.time():.6f}"
    shoald.docker_result("exec", ticking, "sh", "-c", "exit 3")
    flags = ["--since", since, "--until", f"{time.time() + 0.5:.6f}", "--format", "{{json .}}"]
    lines = shoald.docker("events", *flags, "--filter", f"container={ticking}").splitlines()
    events = [json.loads(line) for line in lines]
    actions = [event["Action"].partition(":")[0] for event in events]
    assert actions == ["exec_create", "exec_start", "exec_die"]
    assert events[-1]["Actor"]["Attributes"]["exitCode"] == "3"
    assert len({event["Actor"]["Attributes"]["execID"] for event in events}) == 1


def test_exec_wants_a_running_container(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "idle", "busybox")
    body = ["-X", "POST", "-H", "Content-Type: application/json", "-d", '{"Cmd": ["true"]}']
    status, answer = request(shoald, "/containers/idle/exec", *body)
    assert (status, answer["message"].endswith("is not running")) == (409, True)
    assert request(shoald, "/exec/nosuch/json")[0] == 404
    shoald.docker("rm", "idle")


@pytest.mark.parametrize(
    "body",
    [
        '{"Cmd": []}',
        '{"Cmd": "true"',
        '{"Cmd": "true"}',
        '{"Command": ["true"]}',
        '{"Cmd": ["x"], "DetachKeys": "xyz"}',
    ],
)
def test_exec_refuses_nonsense(shoald: Daemon, ticking: str, body: str) -> None:
    flags = ["-X", "POST", "-H", "Content-Type: application/json", "-d", body]
    status, answer = request(shoald, f"/containers/{ticking}/exec", *flags)
    assert status == 400
    assert answer["message"]


def test_logs_options(shoald: Daemon) -> None:
    command = "echo one; echo two >&2; sleep 0.2; echo three"
    flags = ["-l", "tier=web", "-e", "A=b c", "--log-opt", "labels=tier", "--log-opt", "env=A"]
    shoald.docker("run", "--name", "logged", *flags, "busybox", "sh", "-c", command)
    done = shoald.docker_result("logs", "logged")
    assert (done.stdout, done.stderr) == ("one\nthree\n", "two\n")
    assert shoald.docker("logs", "--tail", "1", "logged") == "three\n"
    assert shoald.docker("logs", "--details", "--tail", "1", "logged") == "A=b+c,tier=web three\n"
    stamp, _, text = shoald.docker("logs", "-t", "--tail", "1", "logged").partition(" ")
    assert (len(stamp), stamp[-1], text) == (30, "Z", "three\n")
    assert shoald.docker("logs", "--since", stamp, "logged") == "three\n"
    assert shoald.docker("logs", "--until", "10m", "logged") == ""
    shoald.docker("rm", "logged")


def test_following_ends_with_the_container(shoald: Daemon) -> None:
    shoald.docker("run", "-d", "--name", "short", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert shoald.docker("logs", "-f", "short", timeout=20) == "1\n2\n3\n"
    shoald.docker("rm", "-f", "short")


@pytest.mark.parametrize("query", ["", "stdout=1&tail=x", "stdout=1&since=yesterday", "stdout=1&until=1e999999999"])
def test_logs_refuse_nonsense(shoald: Daemon, ticking: str, query: str) -> None:
    status, answer = request(shoald, f"/containers/{ticking}/logs?{query}")
    assert status == 400
    assert answer["message"]


def test_a_log_that_is_not_kept_cannot_be_read(shoald: Daemon) -> None:
    shoald.docker("run", "--name", "mute", "--log-driver", "none", "busybox", "echo", "x")
    status, answer = request(shoald, "/containers/mute/logs?stdout=1")
    assert (status, answer["message"]) == (501, "configured logging driver does not support reading")
    shoald.docker("rm", "mute")


def test_stats(shoald: Daemon, ticking: str) -> None:
    status, one = request(shoald, f"/containers/{ticking}/stats?stream=0&one-shot=1")
    assert status == 200
    assert one["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert one["pids_stats"]["current"] >= 1
    assert one["memory_stats"]["usage"] > 0
    _, two = request(shoald, f"/containers/{ticking}/stats?stream=0")
    assert two["cpu_stats"]["cpu_usage"]["total_usage"] > two["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert two["networks"]["eth0"]["rx_bytes"] >= 0
    assert request(shoald, f"/containers/{ticking}/stats?one-shot=1")[0] == 400


def test_stats_stream(shoald: Daemon, ticking: str) -> None:
    client = shoald.client()
    try:
        samples = client.containers.get(ticking).stats(decode=True)
        first, second = next(samples), next(samples)
    finally:
        client.close()
    assert second["preread"] == first["read"]
    assert second["name"] == f"/{ticking}"


def test_stats_of_what_does_not_run_are_empty(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "still", "busybox")
    _, answer = request(shoald, "/containers/still/stats?stream=0")
    assert (answer["name"], answer["memory_stats"], answer["read"]) == ("/still", {}, "0001-01-01T00:00:00Z")
    shoald.docker("rm", "still")


def test_top(shoald: Daemon, ticking: str) -> None:
    lines = shoald.docker("top", ticking).splitlines()
    assert "PID" in lines[0]
    assert any("tick $i" in line for line in lines[1:])
    assert not any("shoal" in line for line in lines[1:])
    names = shoald.docker("top", ticking, "-o", "pid,comm").splitlines()
    assert names[0].split() == ["PID", "COMMAND"]
    assert request(shoald, f"/containers/{ticking}/top?ps_args=-o%20comm")[0] == 400
    assert request(shoald, f"/containers/{ticking}/top?ps_args=-o%20x=PID,pid")[0] == 400


def test_resize_refuses_nonsense(shoald: Daemon, ticking: str) -> None:
    assert request(shoald, f"/containers/{ticking}/resize?h=10&w=20", "-X", "POST")[0] == 200
    for query in ("", "h=10", "h=a&w=b", "h=-1&w=5", "h=70000&w=5"):
        assert request(shoald, f"/containers/{ticking}/resize?{query}", "-X", "POST")[0] == 400


def test_attached_clients_survive_nothing_but_containers_do(shoald: Daemon, ticking: str) -> None:
    before = shoald.docker("inspect", "-f", "{{.State.Pid}}", ticking)
    shoald.kill()
    shoald.start()
    assert shoald.docker("inspect", "-f", "{{.State.Pid}}", ticking) == before
    last = int(shoald.docker("logs", "--tail", "1", ticking).split()[1])
    until(lambda: int(shoald.docker("logs", "--tail", "1", ticking).split()[1]) > last, "the log goes on")
    assert shoald.docker("exec", ticking, "echo", "x") == "x\n"
    numbers = [int(line.split()[1]) for line in shoald.docker("logs", ticking).splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
