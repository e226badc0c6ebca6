"""Bad days of a host: a full disk, a flood of log lines, a fork bomb, too much memory, two hundred starts at once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import Daemon, daemon
from tests.harness.images import archive, busybox_archive, layer
from tests.harness.machine import run
from tests.harness.wait import until


def _state(shoald: Daemon, name: str) -> Any:
    return json.loads(shoald.docker("inspect", "--format", "{{json .State}}", name))


def test_a_container_killed_by_its_memory_limit_says_so(shoald: Daemon) -> None:
    script = "x=a; while true; do x=$x$x; done"
    done = shoald.docker_result(
        "run", "--name", "eater", "--memory", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", script
    )
    assert done.returncode == 137
    state = _state(shoald, "eater")
    assert state["OOMKilled"] is True
    assert state["ExitCode"] == 137
    events = shoald.docker(
        "events",
        "--since",
        "10m",
        "--until",
        f"{time.time():.9f}",
        "--filter",
        "container=eater",
        "--format",
        "{{.Action}}",
    )
    assert "oom" in events.split()
    shoald.docker("rm", "eater")


def test_a_child_killed_for_memory_is_told_while_its_container_runs_on(shoald: Daemon) -> None:
    script = "sh -c 'x=a; while true; do x=$x$x; done'; sleep 1000"
    limits = ("--memory", "16m", "--memory-swap", "16m")
    shoald.docker("run", "-d", "--name", "parent", *limits, "busybox", "sh", "-c", script)
    until(lambda: _state(shoald, "parent")["OOMKilled"], "the kill is seen")
    assert _state(shoald, "parent")["Running"] is True
    shoald.docker("rm", "-f", "parent")
    heard = shoald.docker(
        "events", "--since", "10m", "--until", f"{time.time():.9f}", "--filter", "container=parent", "--format", "{{.Action}}"
    )  # fmt: skip
    assert heard.split().count("oom") == 1


def test_a_fork_bomb_stops_at_its_pids_limit(shoald: Daemon) -> None:
    bomb = "sh -c 'while true; do sleep 1000 & done'; read forever"
    shoald.docker("create", "--name", "forks", "-i", "--pids-limit", "10", "busybox", "sh", "-c", bomb)
    shoald.docker("start", "forks")
    until(lambda: "can't fork" in shoald.docker_result("logs", "forks").stderr, "the limit is reached")
    assert 5 < len(shoald.docker("top", "forks").splitlines()) <= 11
    assert shoald.curl("/_ping") == "OK"
    shoald.docker("rm", "-f", "forks")


def test_a_log_flood_is_cut_to_its_limits(shoald: Daemon) -> None:
    options = ("--log-opt", "max-size=1m", "--log-opt", "max-file=2")
    shoald.docker(
        "run", "-d", "--name", "flood", *options, "busybox", "sh", "-c", "yes 0123456789012345678901234567890123456789"
    )

    def size() -> int:
        folder = shoald.root / "containers" / shoald.docker("inspect", "-f", "{{.Id}}", "flood").strip()
        return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and "log" in p.name)

    until(lambda: size() > 1 << 20, "the first file is full")
    last = shoald.docker("logs", "--tail", "3", "flood").splitlines()
    assert last[:2] == ["0123456789" * 4] * 2  # the third may still be on its way
    shoald.docker("kill", "flood")
    assert size() < 6 << 20
    assert shoald.curl("/_ping") == "OK"
    shoald.docker("rm", "flood")


def test_two_hundred_containers_at_once(shoald: Daemon) -> None:
    until(lambda: '"br-' in shoald.snapshot().nft, "the worker has its assignments, with the ingress network")
    before = shoald.snapshot()

    def start(number: int) -> str:
        return shoald.docker("run", "-d", "--name", f"many-{number}", "busybox", "sleep", "1000").strip()

    with ThreadPoolExecutor(20) as pool:
        ids = list(pool.map(start, range(200)))
        assert len(set(ids)) == 200
        running = shoald.docker("ps", "-q", "--no-trunc", "--filter", "name=many-").split()
        assert set(running) == set(ids)
        addresses = {
            c["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for c in json.loads(shoald.docker("inspect", *ids))
        }
        assert len(addresses) == 200
        list(pool.map(lambda id: shoald.docker("rm", "-f", id), ids))
    until(lambda: not before.differences(shoald.snapshot()), "nothing is left of them", timeout=10)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon whose root folder is an ext4 of 48 MB."""
    with daemon(start=False) as made:
        image = made.folder / "disk.img"
        with open(image, "wb") as file:
            file.truncate(48 << 20)
        run("mkfs.ext4", "-q", "-m", "0", str(image))
        made.root.mkdir()
        run("mount", "-o", "loop", str(image), str(made.root))
        made.start()
        made.docker("load", "-i", str(busybox_archive()))
        yield made


def _fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def test_a_full_disk_is_survived(small: Daemon) -> None:
    small.docker("run", "-d", "--name", "before", "busybox", "sh", "-c", "while true; do date; sleep 0.1; done")
    filler = small.root / "filler"
    with pytest.raises(OSError, match="No space left"):
        _fill(filler)
    failed = [small.docker_result("create", "--name", f"no-{n}", "busybox", "true") for n in range(3)]
    big = small.folder / "big.tar"
    big.write_bytes(archive([layer({"noise": os.urandom(4 << 20)})], ["big:latest"]))
    failed += [small.docker_result("load", "-i", str(big))]
    assert all(done.returncode != 0 for done in failed)
    assert all("no space left" in done.stderr.lower() for done in failed), [d.stderr for d in failed]
    assert small.docker("ps", "--format", "{{.Names}}").split() == ["before"]
    assert small.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split() == ["busybox:latest"]

    filler.unlink()
    assert small.docker("run", "--rm", "busybox", "echo", "again").strip() == "again"
    small.kill()
    small.start()
    assert small.docker("ps", "-a", "--format", "{{.Names}}").split() == ["before"]
    small.docker("rm", "-f", "before")
