"""The node as a whole: ping, versions, info, events and disk usage, as clients see them."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.daemon import Daemon
from tests.harness.wait import until


@pytest.mark.parametrize("options", [(), ("--head",)])
def test_ping_tells_what_clients_negotiate_by(shoald: Daemon, options: tuple[str, ...]) -> None:
    until(lambda: "active" in shoald.curl("/info"), "the manager is there")
    head, _, body = shoald.curl("/_ping", "--include", *options).partition("\n\n")
    headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
    assert head.startswith("HTTP/1.1 200")
    assert (headers["api-version"], headers["ostype"]) == ("1.51", "linux")
    assert headers["docker-experimental"] == "false"
    assert headers["builder-version"] == "1"
    assert headers["swarm"] == "active/manager"
    assert "no-cache" in headers["cache-control"]
    assert body == ("" if options else "OK")


@pytest.mark.parametrize("version", ["1.40", "1.43", "1.51"])
def test_older_clients_are_served(shoald: Daemon, version: str) -> None:
    def docker(*words: str) -> str:
        env = {**os.environ, "DOCKER_API_VERSION": version}
        done = subprocess.run(
            ["docker", "-H", shoald.url, *words], capture_output=True, text=True, env=env, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    assert docker("version", "--format", "{{.Client.APIVersion}} {{.Server.APIVersion}}") == f"{version} 1.51\n"
    assert docker("run", "--rm", "busybox", "echo", "hello") == "hello\n"
    for words in (("ps", "-a"), ("images",), ("volume", "ls"), ("network", "ls"), ("info",), ("system", "df", "-v")):
        assert docker(*words)
    for kind in ("service", "node", "secret", "config"):
        docker(kind, "ls")


def test_too_old_a_client_is_told_so(shoald: Daemon) -> None:
    env = {**os.environ, "DOCKER_API_VERSION": "1.39"}
    done = subprocess.run(
        ["docker", "-H", shoald.url, "ps"], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "client version 1.39 is too old. Minimum supported API version is 1.40" in done.stderr


def test_info_describes_this_machine(shoald: Daemon) -> None:
    with_one = shoald.docker("run", "-d", "busybox", "sleep", "1000").strip()
    info = json.loads(shoald.curl("/info"))
    shown = shoald.docker_result("info")
    shoald.docker("rm", "-f", with_one)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "WARNING" not in shown.stdout
    assert "<nil>" not in shown.stdout
    assert not [line for line in shown.stdout.splitlines() if line.endswith(" version: ")]
    assert (info["Containers"], info["ContainersRunning"], info["ContainersPaused"], info["Images"]) == (1, 1, 0, 1)
    assert (info["NCPU"], info["KernelVersion"], info["Name"]) == (os.cpu_count(), platform.release(), platform.node())
    assert f"MemTotal: {info['MemTotal'] // 1024} kB" in re.sub(" +", " ", Path("/proc/meminfo").read_text())
    assert (info["Driver"], info["DockerRootDir"]) == ("overlay2", str(shoald.root))
    assert info["DriverStatus"] == [["Backing Filesystem", "tmpfs"]]
    assert (info["Swarm"]["LocalNodeState"], info["Swarm"]["ControlAvailable"]) == ("active", True)
    assert info["ID"] == info["Swarm"]["NodeID"] == json.loads(shoald.curl("/nodes"))[0]["ID"]


@pytest.fixture(scope="module")
def history(shoald: Daemon) -> tuple[int, int]:
    """The time in nanoseconds before and after a short life of one of each kind."""
    until(lambda: "node" in shoald.docker("node", "ls", "--format", "node"), "the cluster is there")
    since = time.time_ns()
    shoald.docker("network", "create", "net")
    shoald.docker("volume", "create", "vol")
    shoald.docker("tag", "busybox", "other")
    shoald.docker("create", "--name", "one", "--label", "tier=web", "--label", "x", "busybox", "sleep", "1000")
    shoald.docker("run", "-d", "--name", "two", "--network", "net", "other", "sleep", "1000")
    shoald.docker("exec", "two", "true")
    shoald.docker("rm", "-f", "one", "two")
    shoald.docker("volume", "rm", "vol")
    shoald.docker("network", "rm", "net")
    shoald.docker("rmi", "other")
    shoald.docker("secret", "create", "sec", "-", stdin="x")
    shoald.docker("secret", "rm", "sec")
    until(
        lambda: "secret remove" in shoald.docker("events", "--since", "1m", "--until", "0s"),
        "the last event",
        every=0.2,
    )
    return since, time.time_ns()


def events(shoald: Daemon, since: int, end: int, filters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    path = f"/events?since={since / 1e9:.9f}&until={end / 1e9:.9f}"
    if filters:
        path += f"&filters={quote(json.dumps(filters))}"
    return [json.loads(line) for line in shoald.curl(path).splitlines()]


@pytest.mark.parametrize(
    ("filters", "actions"),
    [
        ({"container": ["one"]}, ["create", "destroy"]),
        ({"container": ["one"], "event": ["create"]}, ["create"]),
        ({"event": ["exec_create", "exec_start"]}, ["exec_create: true", "exec_start: true"]),
        ({"type": ["volume"]}, ["create", "destroy"]),
        ({"volume": ["vol"], "event": ["destroy"]}, ["destroy"]),
        ({"type": ["network"]}, ["create", "connect", "disconnect", "destroy"]),
        ({"network": ["net"], "event": ["create"]}, ["create"]),
        ({"type": ["image"]}, ["tag", "untag"]),
        ({"image": ["other"], "type": ["container"], "event": ["create", "start", "die"]}, ["create", "start", "die"]),
        ({"label": ["tier=web"]}, ["create", "destroy"]),
        ({"label": ["tier=web", "x"]}, ["create", "destroy"]),
        ({"label": ["tier=db"]}, []),
        ({"label": {"x": True}, "event": {"create": True}}, ["create"]),
        ({"scope": ["swarm"]}, ["create", "remove"]),
        ({"secret": ["sec"]}, ["create", "remove"]),
        ({"type": ["daemon"]}, []),
        ({"type": ["container", "volume"], "event": ["create"]}, ["create", "create", "create"]),
    ],
)
def test_events_are_filtered(
    shoald: Daemon, history: tuple[int, int], filters: dict[str, Any], actions: list[str]
) -> None:
    found = events(shoald, *history, filters)
    assert [event["Action"] for event in found] == actions
    assert all(history[0] <= event["timeNano"] <= history[1] for event in found)


def test_events_of_a_time_before_all_are_none(shoald: Daemon, history: tuple[int, int]) -> None:
    assert events(shoald, 1, history[0] - 3600 * 10**9) == []
    everything = events(shoald, *history)
    middle = everything[len(everything) // 2]["timeNano"]
    assert events(shoald, history[0], middle - 1) + events(shoald, middle, history[1]) == everything


def test_events_stream_until_their_end(shoald: Daemon) -> None:
    end = time.time_ns() + 2 * 10**9
    with subprocess.Popen(
        ["curl", "-sSN", "--unix-socket", str(shoald.socket), f"http://d/events?until={end / 1e9:.9f}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as stream:
        until(lambda: json.loads(shoald.curl("/info"))["NEventsListener"] == 1, "it listens", timeout=1.9)
        shoald.docker("volume", "create", "heard")
        assert stream.stdout is not None
        event = json.loads(stream.stdout.readline())
        assert (event["Type"], event["Action"], event["Actor"]["ID"]) == ("volume", "create", "heard")
        assert stream.wait(10) == 0
        assert time.time_ns() >= end
    shoald.docker("volume", "rm", "heard")


def test_disk_usage_adds_up(shoald: Daemon) -> None:
    fill = "dd if=/dev/zero of=/big bs=1M count=3; dd if=/dev/zero of=/v/big bs=1M count=2"
    shoald.docker("run", "--name", "big", "-v", "big:/v", "busybox", "sh", "-c", fill)
    usage = json.loads(shoald.curl("/system/df"))
    (container,), (volume,), (image,) = usage["Containers"], usage["Volumes"], usage["Images"]
    assert 3 << 20 <= container["SizeRw"] < 4 << 20
    assert container["SizeRootFs"] == container["SizeRw"] + image["Size"]
    assert 2 << 20 <= volume["UsageData"]["Size"] < 3 << 20
    assert (volume["UsageData"]["RefCount"], image["Containers"]) == (1, 1)
    assert usage["LayersSize"] == image["Size"]
    only = json.loads(shoald.curl("/system/df?type=volume"))
    assert (only["Volumes"], only["Images"], only["Containers"]) == ([volume], None, None)
    assert "unknown object type: colour" in shoald.curl("/system/df?type=colour")
    assert "3.146MB" in shoald.docker("system", "df")
    shoald.docker("rm", "-v", "big")
    shoald.docker("volume", "rm", "big")
