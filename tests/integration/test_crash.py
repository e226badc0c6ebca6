"""kill -9 of the daemon at random moments of container operations: afterwards the API tells the truth and nothing has leaked.

SHOAL_TEST_CRASHES sets how often, SHOAL_TEST_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import Daemon, daemon
from tests.harness.images import busybox_archive
from tests.harness.wait import until

CRASHES = int(os.environ.get("SHOAL_TEST_CRASHES", "24"))
SEED = int(os.environ.get("SHOAL_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
LONGEST = 0.12  # seconds between an operation's begin and the crash: the slowest operation takes about as long
ID = re.compile(r"[0-9a-f]{64}")
BODY = {
    "Image": "busybox",
    "Cmd": ["sleep", "1000"],
    "StopSignal": "KILL",
    "Volumes": {"/anonymous": {}},
    "ExposedPorts": {"80/tcp": {}},
    "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}, "IpcMode": "shareable"},
}


@pytest.fixture(scope="module")
def fragile() -> Iterator[Daemon]:
    """A daemon of its own: other tests want theirs alive."""
    with daemon() as made:
        made.docker("load", "-i", str(busybox_archive()))
        yield made


def test_nothing_leaks_and_the_api_is_true(fragile: Daemon) -> None:
    rng = random.Random(SEED)
    before = fragile.snapshot()
    for number in range(CRASHES):
        operation = rng.choice(list(OPERATIONS))
        delay = rng.random() * LONGEST
        with _note(f"seed {SEED}, crash {number}: {operation} after {delay * 1000:.1f} ms"):
            _crash_during(fragile, operation, delay)
            if rng.random() < 0.3:
                _crash_during_recovery(fragile, rng.random())
            fragile.start()
            _check(fragile)
    for id in fragile.docker("ps", "-aq").split():
        fragile.docker("rm", "-f", "-v", id)
    _check(fragile)
    left = [line for line in before.differences(fragile.snapshot()) if not line.startswith(("nft:", "links: new br-"))]
    assert left == []
    assert fragile.docker("volume", "ls", "-q") == ""


def test_a_container_lives_on_and_its_end_is_not_missed(fragile: Daemon) -> None:
    """What ran keeps running; what ended while no daemon was there has its exit code, its log and its policy's answer."""
    fragile.docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
    ending = "until [ -e /go ]; do sleep 0.05; done; echo bye; exit 5"
    fragile.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", ending)
    failing_once = "test -e /once || { touch /once; sleep 1; exit 1; }; sleep 1000"
    fragile.docker("run", "-d", "--name", "again", "--restart", "on-failure", "busybox", "sh", "-c", failing_once)
    pid = _inspect(fragile, "stays")["State"]["Pid"]
    root = Path(f"/proc/{_inspect(fragile, 'ends')['State']['Pid']}/root")
    second = Path(f"/proc/{_inspect(fragile, 'again')['State']['Pid']}")
    fragile.kill()
    (root / "go").touch()
    until(lambda: not root.exists() and not second.exists(), "both ended without a daemon")
    fragile.start()
    assert _inspect(fragile, "stays")["State"]["Pid"] == pid
    assert fragile.docker("exec", "stays", "echo", "hello") == "hello\n"
    until(lambda: _inspect(fragile, "ends")["State"]["Status"] == "exited", "its end is known")
    assert _inspect(fragile, "ends")["State"]["ExitCode"] == 5
    assert fragile.docker("logs", "ends") == "bye\n"
    until(lambda: _inspect(fragile, "again")["State"]["Status"] == "running", "its policy started it again")
    assert _inspect(fragile, "again")["RestartCount"] == 1
    for name in ("stays", "ends", "again"):
        fragile.docker("rm", "-f", name)


def test_manual_stops_are_remembered(fragile: Daemon) -> None:
    for name in ("always", "unless-stopped"):
        fragile.docker(
            "run", "-d", "--name", name, "--restart", name, "--stop-signal", "KILL", "busybox", "sleep", "1000"
        )
        fragile.docker("stop", name)
    fragile.kill()
    fragile.start()
    until(lambda: _inspect(fragile, "always")["State"]["Running"], "a new daemon starts what always runs")
    assert not _inspect(fragile, "unless-stopped")["State"]["Running"]
    fragile.docker("rm", "-f", "always", "unless-stopped")


def test_a_clean_stop_touches_no_container(fragile: Daemon) -> None:
    fragile.docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
    pid = _inspect(fragile, "stays")["State"]["Pid"]
    assert fragile.stop() == 0
    assert Path(f"/proc/{pid}").exists()
    fragile.start()
    assert _inspect(fragile, "stays")["State"]["Pid"] == pid
    fragile.docker("rm", "-f", "stays")


def _crash_during(fragile: Daemon, operation: str, delay: float) -> None:
    id, (method, path) = _prepare(fragile, operation), OPERATIONS[operation][1]
    request = [
        "curl",
        "-sS",
        "-m",
        "30",
        "--unix-socket",
        str(fragile.socket),
        "-X",
        method,
        f"http://d{path.format(id=id)}",
    ]
    if operation == "create":
        request += ["-H", "Content-Type: application/json", "-d", json.dumps(BODY)]
    with subprocess.Popen(request, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        time.sleep(delay)  # the moment is what is random here
        fragile.kill()


def _crash_during_recovery(fragile: Daemon, delay: float) -> None:
    fragile.start(wait=False)
    time.sleep(delay)  # a start takes about a second
    fragile.kill()


# operation → (the states it starts from, its request)
OPERATIONS = {
    "create": ("none", ("POST", "/containers/create")),
    "start": ("created", ("POST", "/containers/{id}/start")),
    "stop": ("running", ("POST", "/containers/{id}/stop")),
    "restart": ("running", ("POST", "/containers/{id}/restart")),
    "pause": ("running", ("POST", "/containers/{id}/pause")),
    "remove": ("created", ("DELETE", "/containers/{id}?v=1")),
    "remove by force": ("running", ("DELETE", "/containers/{id}?v=1&force=1")),
}


def _prepare(fragile: Daemon, operation: str) -> str:
    state = OPERATIONS[operation][0]
    if state == "none":
        return ""
    id: str = json.loads(_post(fragile, "/containers/create", BODY))["Id"]
    if state == "running":
        _post(fragile, f"/containers/{id}/start")
    return id


def _post(fragile: Daemon, path: str, body: object = None) -> str:
    data = ["-d", json.dumps(body)] if body is not None else []
    return fragile.curl(path, "-X", "POST", "-H", "Content-Type: application/json", *data)


def _inspect(fragile: Daemon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fragile.curl(f"/containers/{name}/json"))
    return found


def _check(fragile: Daemon) -> None:
    """Every trace on the machine belongs to a container that the API shows in a state that leaves such traces."""
    try:
        until(lambda: _traces(fragile) == _claims(fragile), "machine and API agree", timeout=10)
    except AssertionError:
        raise AssertionError(_differences(fragile)) from None
    for container in json.loads(fragile.curl("/containers/json")):
        state = _inspect(fragile, container["Id"])["State"]
        assert Path(f"/proc/{state['Pid']}").exists(), state


def _claims(fragile: Daemon) -> dict[str, set[str]]:
    """What the API says there is."""
    containers = json.loads(fragile.curl("/containers/json?all=1"))
    running = {c["Id"] for c in containers if c["State"] in ("running", "paused")}
    known = {c["Id"] for c in containers}
    volumes = {m["Name"] for c in containers for m in c["Mounts"]}
    ports = {str(p["PublicPort"]) for c in containers for p in c["Ports"]}
    return {
        "mounts": running, "cgroups": running, "monitors": running, "namespaces": running, "folders": known, "volumes": volumes,
        "interfaces": {str(len(running))}, "ports": ports,
    }  # fmt: skip


def _traces(fragile: Daemon) -> dict[str, set[str]]:
    """What the machine says there is."""
    seen = fragile.snapshot()
    published = re.findall(r"tcp \. (\d+) : ", seen.nft)
    return {
        "mounts": _ids(seen.mounts),
        "cgroups": _ids(seen.cgroups),
        "monitors": _ids(seen.processes),
        "namespaces": _ids(folder for folder in seen.folders if "/netns/" in folder),
        "folders": _ids(folder for folder in seen.folders if "/root/containers/" in folder),
        "volumes": set(fragile.docker("volume", "ls", "-q").split()),
        "interfaces": {str(sum(link.startswith("veth") for link in seen.links))},
        "ports": set(published),
    }


def _ids(texts: Iterable[str]) -> set[str]:
    return {id for text in texts for id in ID.findall(text)}


def _differences(fragile: Daemon) -> str:
    traces, claims = _traces(fragile), _claims(fragile)
    lines = [
        f"{kind}: {traces[kind]} on the machine, {claims[kind]} by the API"
        for kind in claims
        if traces[kind] != claims[kind]
    ]
    return "\n".join([*lines, fragile.tail()])


@contextmanager
def _note(what: str) -> Iterator[None]:
    """Name the try in its failure."""
    try:
        yield
    except BaseException as error:
        error.add_note(what)
        raise
