"""Nodes that come back as others left them: with an empty disk, a lost log, another address, or a twin."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from examples.lab.hosts import Host
from tests.harness.images import busybox_archive
from tests.harness.lab import Formed, lab
from tests.harness.services import SLEEP

PORT = 2377
DISK = "/var/lib/shoal"


@pytest.fixture(scope="module")
def made() -> Iterator[Formed]:
    """Three managers and two workers that chose their addresses by themselves, with a task on each."""
    with lab(managers=3, workers=2, form=False) as formed:
        first, *others = formed.hosts
        first.docker("swarm", "init")
        for host in others:
            _join(host, first)
        formed.cluster.until_ready()
        formed.cluster.ask(
            "service",
            "create",
            "--detach",
            "--no-resolve-image",
            "--name",
            "kept",
            "--mode",
            "global",
            "busybox",
            *SLEEP,
        )
        formed.cluster.until_running("kept", 5)
        yield formed


def _join(host: Host, by: Host, *options: str) -> None:
    role = "manager" if host.is_manager else "worker"
    token = by.docker("swarm", "join-token", "--quiet", role).strip()
    host.docker("swarm", "join", "--token", token, *options, f"{by.ip}:{PORT}")


def _info(host: Host, field: str) -> str:
    return host.docker("info", "--format", "{{.Swarm." + field + "}}").strip()


def _container(host: Host) -> str:
    return host.docker("ps", "-q", "--filter", "label=com.docker.swarm.service.name=kept").strip()


def _readdress(host: Host, old: str, new: str) -> None:
    device = host.run("sh", "-c", f"ip -o addr show to {old} | cut -d' ' -f2").strip()
    host.run("ip", "addr", "del", f"{old}/24", "dev", device)
    host.run("ip", "addr", "add", f"{new}/24", "dev", device)


def _other_ip(host: Host, distance: int = 110) -> str:
    network, _, number = host.ip.rpartition(".")
    return f"{network}.{distance + int(number)}"


def test_a_worker_has_another_address(made: Formed) -> None:
    worker, before = made.workers[0], _container(made.workers[0])
    other = _other_ip(worker)
    _readdress(worker, worker.ip, other)
    try:
        made.cluster.until(lambda: _info(worker, "NodeAddr") == other, "the worker knows its address", timeout=15)
        shown = "node", "inspect", "--format", "{{.Status.State}} {{.Status.Addr}}", _info(worker, "NodeID")
        made.cluster.until(lambda: made.cluster.ask(*shown).strip() == f"ready {other}", "it is ready there")
        assert _container(worker) == before
    finally:
        _readdress(worker, other, worker.ip)
    made.cluster.until(lambda: _info(worker, "NodeAddr") == worker.ip, "the worker is back", timeout=15)
    made.cluster.until_ready()


def test_a_manager_has_another_address(made: Formed) -> None:
    manager, peer = made.managers[2], made.managers[0]
    before, other, id = _container(manager), _other_ip(manager), _info(manager, "NodeID")
    shown = "node", "inspect", "--format", "{{.ManagerStatus.Reachability}} {{.ManagerStatus.Addr}}", id
    manager.stop()
    _readdress(manager, manager.ip, other)
    try:
        manager.start()
        made.cluster.until(lambda: peer.docker(*shown).strip() == f"reachable {other}:{PORT}", "it is reached there")
        assert _container(manager) == before
        manager.docker("node", "ls")
    finally:
        _readdress(manager, other, manager.ip)
    where = f"reachable {manager.ip}:{PORT}"
    made.cluster.until(lambda: peer.docker(*shown).strip() == where, "it is back, without a restart")
    made.cluster.until_ready()
    made.cluster.until_running("kept", 5)


def test_a_manager_with_two_addresses_does_not_guess(made: Formed) -> None:
    manager, other = made.managers[2], _other_ip(made.managers[2])
    third = _other_ip(manager, 120)
    _readdress(manager, manager.ip, other)
    device = manager.run("sh", "-c", f"ip -o addr show to {other} | cut -d' ' -f2").strip()
    manager.run("ip", "addr", "add", f"{third}/24", "dev", device)
    try:
        made.cluster.until(lambda: other in _info(manager, "Error"), "it says that it cannot choose", timeout=15)
        said = _info(manager, "Error")
        assert f"has the address {manager.ip}, by which the other nodes reach this manager, no more" in said
        assert "leave and join anew with another --advertise-addr" in said
    finally:
        manager.run("ip", "addr", "del", f"{third}/24", "dev", device)
        _readdress(manager, other, manager.ip)
    made.cluster.until(lambda: _info(manager, "Error") == "", "all is well again", timeout=15)
    made.cluster.until_ready()


def test_a_managers_log_was_lost(made: Formed) -> None:
    manager, id = made.managers[1], _info(made.managers[1], "NodeID")
    before = _container(manager)
    manager.stop()
    manager.run("rm", "-r", f"{DISK}/raft")
    manager.start()
    made.cluster.until(lambda: manager.docker("node", "ls"), "the manager answers")
    made.cluster.until_ready()
    assert _info(manager, "NodeID") == id
    assert _container(manager) == before


def test_a_worker_lost_all(made: Formed) -> None:
    """It joins as a new node, and the old one can be removed."""
    worker, old = made.workers[1], _info(made.workers[1], "NodeID")
    worker.kill()
    worker.boot()
    worker.run("find", DISK, "-mindepth", "1", "-delete")
    worker.start()
    assert _info(worker, "NodeID") != old
    worker.docker("load", "--quiet", "-i", str(busybox_archive()))
    _join(worker, made.managers[0])
    made.cluster.until(lambda: made.cluster.ask("node", "rm", old), "its old node is removed")
    made.cluster.until_ready()
    made.cluster.until_running("kept", 5)


def test_a_copied_worker(made: Formed) -> None:
    first, twin = made.workers
    id, container, old = _info(first, "NodeID"), _container(first), _info(twin, "NodeID")
    _copy(first, twin)
    made.cluster.until(lambda: "another machine is node" in _info(twin, "Error"), "the copy is told", timeout=15)
    assert f"another machine is node {id} too" in _info(twin, "Error")
    assert _info(first, "Error") == ""
    assert _container(first) == container
    _begin_anew(made, twin, old)
    assert _container(first) == container


def test_a_copied_manager(made: Formed) -> None:
    first, twin = made.managers[1], made.workers[1]
    id, container, old = _info(first, "NodeID"), _container(first), _info(twin, "NodeID")
    _copy(first, twin)
    made.cluster.until(lambda: "another machine is node" in _info(twin, "Error"), "the copy is told", timeout=15)
    said = _info(twin, "Error")
    assert f"another machine is node {id} too, and its manager runs at {first.ip}:{PORT}" in said
    assert twin.manager is None
    first.docker("node", "ls")
    assert _container(first) == container
    _begin_anew(made, twin, old)
    assert _container(first) == container, made.cluster.ask("service", "ps", "--no-trunc", "kept")


def _copy(source: Host, target: Host) -> None:
    """The second host's disk becomes what the first one's identity and state is."""
    target.stop()
    for name in ("swarm", "session", "raft"):
        there, here = (host.root / DISK.lstrip("/") / name for host in (source, target))
        shutil.rmtree(here, ignore_errors=True)
        if there.exists():
            shutil.copytree(there, here)
    target.start()


def _begin_anew(made: Formed, twin: Host, old: str) -> None:
    twin.docker("swarm", "leave", "--force")
    assert _info(twin, "Error") == ""
    _join(twin, made.managers[0])
    made.cluster.until(lambda: made.cluster.ask("node", "rm", old), "its old node is removed")
    made.cluster.until_ready()
    made.cluster.until_running("kept", 5)
