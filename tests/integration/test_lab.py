"""The lab itself: hosts that are apart, faults that are what they claim to be, and a machine left as it was."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.lab.groups import Group
from examples.lab.hosts import REPO, Host, Lab
from examples.lab.layout import Blueprint, Folder, LabError
from tests.harness.lab import lab as make
from tests.harness.machine import run
from tests.harness.wait import until

_SLEEP = ("sleep", "100000")
_NAMESPACES = ("net", "pid", "mnt", "uts", "ipc", "cgroup")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two managers and a worker that are no cluster yet: each host is its own."""
    with make(managers=2, workers=1, form=False, disk=256 << 20) as made:
        yield made


@pytest.fixture(autouse=True)
def whole(lab: Lab) -> Iterator[None]:
    """Every test finds all hosts running and all links in order."""
    yield
    lab.heal()
    for host in lab.hosts:
        if host.state() == "frozen":
            host.thaw()
        host.start()


def _answers(source: Host, target: Host, *, count: int = 1, family: str = "-4") -> int:
    """How many of `count` echo requests come back within a second or two."""
    address = target.ip6 if family == "-6" else target.ip
    command = source.command("busybox", "ping", family, "-c", str(count), "-i", "0.01", "-W", "1", "-w", "2", address)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return sum("bytes from" in line for line in done.stdout.splitlines())


def _sends(source: Host, target: Host, count: int = 1) -> int:
    """How many of `count` datagrams arrive one way."""
    listen = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 7000)); s.settimeout(0.5)\n"
        "print('bound', flush=True)\n"
        "try:\n  while True: s.recv(9); print('got')\nexcept TimeoutError: pass"
    )
    send = f"import socket; s = socket.socket(type=socket.SOCK_DGRAM)\nfor _ in range({count}): s.sendto(b'x', ('{target.ip}', 7000))"
    with subprocess.Popen(target.command("python3", "-c", listen), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "bound\n"
        source.run("python3", "-c", send)
        return server.stdout.read().count("got")


def test_hosts_are_apart(lab: Lab) -> None:
    inits = [host.init for host in lab.hosts]
    for kind in _NAMESPACES:
        seen = {init.namespace(kind) for init in inits if init} | {os.stat(f"/proc/self/ns/{kind}").st_ino}
        assert len(seen) == len(lab.hosts) + 1, kind
    for host in lab.hosts:
        assert host.run("hostname") == f"{host.name}\n"
        assert host.run("cat", "/etc/hostname") == f"{host.name}\n"
        assert host.run("cat", "/proc/1/comm") == "catatonit\n"
    assert len({host.docker("info", "--format", "{{.Swarm.NodeID}}") for host in lab.hosts}) == 3


def test_hosts_reach_each_other_and_the_outside(lab: Lab) -> None:
    manager, _, worker = lab.hosts
    assert _answers(manager, worker)
    assert _answers(worker, manager, family="-6")
    assert "worker1" in manager.run("getent", "hosts", worker.ip)
    assert "0% packet loss" in lab.outside("busybox", "ping", "-c", "1", worker.ip)


def test_cut_and_heal(lab: Lab) -> None:
    manager, other, worker = lab.hosts
    lab.cut("manager1", "workers")
    assert not _answers(manager, worker)
    assert not _answers(worker, manager, family="-6")
    assert _answers(manager, other)
    assert _answers(other, worker)
    lab.heal("worker1", "manager1")
    assert _answers(manager, worker)


def test_cut_one_way(lab: Lab) -> None:
    manager, _, worker = lab.hosts
    assert _answers(manager, worker)  # both know the other's MAC address from here on
    lab.cut("manager1", "worker1", one_way=True)
    assert _sends(manager, worker) == 0
    assert _sends(worker, manager) == 1


def test_loss_and_rate(lab: Lab) -> None:
    manager, other, worker = lab.hosts
    lab.drop("manager1", "worker1", 50, one_way=True)
    assert 50 < _sends(manager, worker, 200) < 150
    lab.heal()
    lab.slow("manager1", "worker1", 8_000_000, one_way=True)
    slow, fast = _throughput(manager, worker, "1M"), _throughput(manager, other, "64M")
    assert 4_000_000 < slow < 9_000_000
    assert fast > 20 * slow
    manager.kill()
    manager.start()
    assert _throughput(worker, manager, "64M") > 20 * slow
    assert _throughput(manager, worker, "1M") < 9_000_000  # the link is as it was when the host comes back


def test_delay(lab: Lab) -> None:
    manager, other, worker = lab.hosts
    assert _round_trip(manager, worker) < 15
    lab.delay("manager1", "worker1", 30)
    assert 60 <= _round_trip(manager, worker) < 75
    assert _round_trip(manager, other) < 15
    lab.delay("manager1", "worker1", 0, one_way=True)
    assert 30 <= _round_trip(manager, worker) < 45
    worker.kill()
    worker.start()
    assert 30 <= _round_trip(manager, worker) < 45
    lab.heal()
    assert _round_trip(manager, worker) < 15


def _round_trip(source: Host, target: Host) -> float:
    """Milliseconds, the best of five."""
    said = source.run("busybox", "ping", "-c", "5", "-i", "0.05", target.ip)
    return float(said.rpartition("= ")[2].partition("/")[0])


def _throughput(source: Host, target: Host, size: str) -> float:
    """Bits per second of one TCP stream."""
    with subprocess.Popen(
        target.command("iperf3", "-s", "-1", "--forceflush"), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        until(lambda: "listening" in (server.stdout.readline() if server.stdout else ""), "iperf3 listens")
        result = json.loads(source.run("iperf3", "-c", target.ip, "-n", size, "-J"))
        server.stdout.read()
    return float(result["end"]["sum_received"]["bits_per_second"])


def test_containers_live_in_their_host(lab: Lab) -> None:
    """Through a nested PID namespace and a cgroup namespace: exec, top, stats, OOM and kill."""
    host = lab.workers[0]
    host.docker("run", "-d", "--name", "one", "-m", "64m", "busybox", *_SLEEP)
    assert "sleep 100000" in host.docker("exec", "one", "ps")
    assert "sleep 100000" in host.docker("top", "one")
    assert "64MiB" in host.docker("stats", "--no-stream", "one")
    eat = ("sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done")
    with pytest.raises(LabError, match="exit code 137"):
        host.docker("run", "--name", "eater", "-m", "16m", "busybox", *eat)
    assert host.docker("inspect", "--format", "{{.State.OOMKilled}}", "eater") == "true\n"
    host.docker("kill", "one")
    assert host.docker("inspect", "--format", "{{.State.ExitCode}}", "one") == "137\n"
    host.docker("rm", "one", "eater")


def test_power_cut(lab: Lab) -> None:
    host = lab.workers[0]
    host.docker("run", "-d", "--name", "lost", "busybox", *_SLEEP)
    host.docker("run", "-d", "--name", "paused", "busybox", *_SLEEP)
    host.docker("pause", "paused")
    pids = host.group.pids()
    assert len(pids) >= 7  # an init, two daemons, two containers with their monitors
    host.kill()
    assert host.state() == "off"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "worker1" not in lab.outside("ip", "-br", "link")
    host.start()
    assert host.docker("ps", "-q") == ""
    assert host.docker("ps", "-aq", "--filter", "name=lost") != ""
    host.docker("rm", "-f", "lost", "paused")


def test_daemons_are_killed_alone(lab: Lab) -> None:
    host = lab.managers[0]
    host.docker("run", "-d", "--name", "kept", "busybox", *_SLEEP)
    first = host.manager
    host.kill_daemon("manager")
    until(lambda: host.manager not in (None, first), "another manager runs")
    host.kill_daemon()
    assert host.state() == "on"
    host.start()
    assert host.docker("exec", "kept", "hostname")
    host.stop()
    assert host.state() == "on"
    host.start()
    assert host.docker("ps", "-q")
    host.docker("rm", "-f", "kept")


def test_freeze(lab: Lab) -> None:
    host = lab.managers[1]
    host.freeze()
    assert host.state() == "frozen"
    assert not host.answers()
    with pytest.raises(LabError, match="frozen"):
        host.stop()
    host.thaw()
    assert host.answers()
    host.freeze("manager")
    assert host.answers()
    assert host.manager
    assert host.manager.stopped()
    host.thaw()
    until(lambda: host.docker("node", "ls"), "the manager answers")


def test_a_frozen_host_can_be_killed(lab: Lab) -> None:
    host = lab.workers[0]
    host.freeze()
    host.kill()
    assert host.state() == "off"


def test_full_disk(lab: Lab) -> None:
    host = lab.workers[0]
    host.fill()
    with pytest.raises(LabError, match="No space left"):
        host.run("dd", "if=/dev/zero", "of=/var/lib/shoal/more", "bs=64k", "count=1")
    host.unfill()
    host.run("dd", "if=/dev/zero", "of=/var/lib/shoal/more", "bs=64k", "count=1")
    host.run("rm", "/var/lib/shoal/more")


def test_unknown_hosts_and_labs(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no host 'worker9'"):
        lab.cut("worker9")
    with pytest.raises(LabError, match="there is no lab in"):
        Lab.open(Folder.named("other", tmp_path))
    with pytest.raises(LabError, match="already"):
        Lab.up(lab.folder, lab.blueprint)


def test_a_lab_that_nobody_noted_down_is_taken_down(tmp_path: Path) -> None:
    """Its maker was killed before it wrote which processes there are; a client outside of the hosts still runs."""
    folder = Folder.named("lost", tmp_path)
    made = Lab.up(folder, Blueprint(managers=0, workers=1), start=False)
    try:
        client = subprocess.Popen(made.rack.command("sleep", "1000"))
        pids = made.host("worker1").group.pids() + [process.pid for process in made.rack.group.own(leaf=False)]
        for file in (folder.rack, made.hosts[0].folder / "init.json"):
            file.unlink()
    finally:
        made.down()
    assert client.wait(10) != 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "all processes are gone", timeout=5)
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{folder.group}"))


def test_a_second_lab_from_the_command_line(tmp_path: Path) -> None:
    """With the same addresses, beside the first one; cleared away after its rack has been killed."""
    words = [str(REPO / "examples/lab/lab"), "--dir", str(tmp_path), "--name", "two"]
    run(*words, "up", "-m", "1", "-w", "0", "--no-image", "--no-cluster")
    try:
        assert run(*words, "enter", "manager1", "hostname") == "manager1\n"
        assert "Leader" in run(*words, "docker", "manager1", "node", "ls")
        assert "running" in run(*words, "status")
        os.kill(Lab.open(Folder.named("two", tmp_path)).rack.process.pid, 9)  # type: ignore[union-attr]
        failed = subprocess.run([*words, "start", "manager1"], capture_output=True, text=True, check=False)
        assert (failed.returncode, failed.stderr.partition(":")[0]) == (1, "lab")
    finally:
        run(*words, "down")
    assert not (tmp_path / "two").exists()
    assert not Group(Folder.named("two", tmp_path).group).pids()
    assert not list(Path("/sys/fs/cgroup").glob("*/shoal-lab-two*"))
