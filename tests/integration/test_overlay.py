"""Overlay networks and published ports over a lab of hosts: containers on different hosts as if on one switch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from examples.lab.host import Host
from examples.lab.layout import LabError
from tests.harness.lab import Formed
from tests.harness.lab import lab as make

WEB = ("sh", "-c", "mkdir /www; hostname >/www/index.html; exec httpd -f -p 80 -h /www")
PLACED = "{{.Service.Name}}-{{.Node.Hostname}}-{{.Task.Slot}}"


@pytest.fixture(scope="module")
def lab() -> Iterator[Formed]:
    with make(managers=1, workers=2) as made:
        yield made


@contextmanager
def service(lab: Formed, name: str, count: int, *flags: str) -> Iterator[None]:
    words = ("service", "create", "--detach", "--no-resolve-image", "--name", name, "--hostname", PLACED)
    lab.cluster.ask(*words, "--stop-grace-period", "1s", *flags, "busybox", *WEB)
    try:
        lab.cluster.until_running(name, count)
        yield
    finally:
        lab.cluster.ask("service", "rm", name)
        lab.cluster.until(lambda: all(not containers(host, name) for host in lab.hosts), f"{name} is gone")


@contextmanager
def network(lab: Formed, name: str, *flags: str) -> Iterator[None]:
    lab.cluster.ask("network", "create", "-d", "overlay", *flags, name)
    try:
        yield
    finally:
        lab.cluster.until(lambda: lab.cluster.ask("network", "rm", name), f"{name} can be removed")
        lab.cluster.until(lambda: not any(overlay_links(lab, host) for host in lab.hosts), "no device of it is left")


def containers(host: Host, service: str) -> list[str]:
    return host.docker("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={service}").split()


def overlay_links(lab: Formed, host: Host, *, ingress: bool = False) -> list[str]:
    """Bridges and tunnels of the cluster's networks, without those of the ingress network."""
    ids = [] if ingress else [lab.cluster.ask("network", "inspect", "-f", "{{.Id}}", "ingress").strip()[:12]]
    names = [line.split()[1].split("@")[0].rstrip(":") for line in host.run("ip", "-o", "link").splitlines()]
    return [n for n in names if n.startswith(("br-", "vx-")) and n[3:] not in ids]


def fetch(host: Host, container: str, target: str) -> str:
    """By address, or by a name that the container's resolver knows."""
    if not target[-1].isdigit() and "]" not in target:
        target = resolve(host, container, target)[0]
    return host.docker("exec", container, "timeout", "3", "wget", "-qO-", f"http://{target}/").strip()


def resolve(host: Host, container: str, name: str) -> list[str]:
    """A static busybox's other applets do not resolve."""
    said = host.docker("exec", container, "nslookup", "-type=a", name).partition("Name:")[2]
    return [line.split()[1] for line in said.splitlines() if line.startswith("Address")]


def visit(lab: Formed, host: Host, port: int, path: str = "") -> str:
    """From outside of all hosts."""
    return lab.outside("curl", "-sS", "--fail", "--max-time", "3", f"http://{host.ip}:{port}/{path}").strip()


def addresses(host: Host, container: str, network: str) -> str:
    return host.docker(
        "inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}', container
    ).strip()


def test_every_container_reaches_every_container(lab: Formed) -> None:
    with network(lab, "app"), service(lab, "web", 6, "--replicas", "6", "--network", "app"):
        there = {(h.name, c): h for h in lab.hosts for c in containers(h, "web")}
        assert len({name for name, _ in there}) == 3
        at = {key: addresses(host, key[1], "app") for key, host in there.items()}
        names = {f"web-{host.name}" for host in lab.hosts}
        for (_, container), host in there.items():
            for address in at.values():
                assert fetch(host, container, address).rpartition("-")[0] in names
            found = Counter(fetch(host, container, "web") for _ in range(12))
            assert len(found) == 6, "the service's address leads to every task in turn"
            assert set(resolve(host, container, "tasks.web")) == set(at.values())
            assert {fetch(host, container, f"{slot}.web").rpartition("-")[2] for slot in range(1, 7)} == set("123456")


def test_devices_are_there_while_they_are_needed(lab: Formed) -> None:
    with network(lab, "app"):
        assert not any(overlay_links(lab, host) for host in lab.hosts)
        manager, one, two = lab.hosts
        flags = ("--network", "app", "--constraint", f"node.hostname!={two.name}")
        with service(lab, "web", 2, "--replicas", "2", "--replicas-max-per-node", "1", *flags):
            lab.cluster.until(
                lambda: len(overlay_links(lab, manager)) == len(overlay_links(lab, one)) == 2, "bridge and tunnel"
            )
            assert not overlay_links(lab, two)
        lab.cluster.until(
            lambda: not any(overlay_links(lab, host) for host in lab.hosts), "they are gone with the tasks"
        )


def test_users_containers_meet_on_attachable_networks(lab: Formed) -> None:
    one, two = lab.workers
    with network(lab, "shared", "--attachable", "--ipv6"):
        for host in (one, two):
            host.docker("run", "-d", "--name", f"at-{host.name}", "--network", "shared", "busybox", *WEB)
        try:
            for here, there in ((one, two), (two, one)):
                name, other = f"at-{here.name}", f"at-{there.name}"
                v4 = addresses(there, other, "shared")
                v6 = there.docker(
                    "inspect", "-f", '{{(index .NetworkSettings.Networks "shared").GlobalIPv6Address}}', other
                ).strip()
                lab.cluster.until(lambda: fetch(here, name, v4), "the other answers over IPv4", timeout=5)  # noqa: B023
                lab.cluster.until(lambda: fetch(here, name, f"[{v6}]"), "and over IPv6", timeout=5)  # noqa: B023
        finally:
            for host in (one, two):
                host.docker("rm", "-f", f"at-{host.name}")


def test_a_published_port_answers_on_every_node(lab: Formed) -> None:
    manager, one, two = lab.hosts
    flags = ("--publish", "8080:80", "--constraint", f"node.hostname!={two.name}")
    with service(lab, "web", 4, "--replicas", "4", "--replicas-max-per-node", "2", *flags):
        for host in lab.hosts:
            lab.cluster.until(lambda: visit(lab, host, 8080), f"{host.name} answers", timeout=10)  # noqa: B023
            found = Counter(visit(lab, host, 8080) for _ in range(20))
            assert sorted(found.values()) == [5, 5, 5, 5], found
            assert "web-" in host.run("curl", "-sS", "--max-time", "3", "http://127.0.0.1:8080/")
        assert overlay_links(lab, two, ingress=True), "a node without a task has the ingress network"
        assert {name.split("-")[1] for name in found} == {manager.name, one.name}
    lab.cluster.until(
        lambda: not any(overlay_links(lab, h, ingress=True) for h in lab.hosts), "the ingress network rests"
    )


def test_a_lost_host_is_forgotten_and_its_tasks_move(lab: Formed) -> None:
    manager, one, two = lab.hosts
    flags = ("--publish", "8081:80", "--network", "app", "--constraint", "node.role==worker")
    with (
        network(lab, "app"),
        service(lab, "web", 2, "--replicas", "2", *flags),
        service(lab, "client", 1, "--network", "app", "--constraint", "node.role==manager"),
    ):
        client = containers(manager, "client")[0]
        lab.cluster.until(
            lambda: {fetch(manager, client, "web").split("-")[1] for _ in range(4)} == {one.name, two.name}, "both"
        )
        two.kill()
        lab.cluster.until_running("web", 2, without=[two])
        try:
            for _ in range(20):
                assert f"-{one.name}-" in visit(lab, manager, 8081)
                assert f"-{one.name}-" in fetch(manager, client, "web")
        finally:
            two.start()
            lab.cluster.until_ready()
        lab.cluster.until(lambda: visit(lab, two, 8081), "the host is back, and reaches the tasks that moved")
        for _ in range(20):
            assert f"-{one.name}-" in visit(lab, two, 8081)


def test_a_daemon_that_starts_repairs_what_is_wrong(lab: Formed) -> None:
    manager, one, _ = lab.hosts
    flags = ("--network", "app", "--mode", "global")
    with network(lab, "app"), service(lab, "web", 3, *flags):
        here, there = containers(manager, "web")[0], containers(one, "web")[0]
        target = addresses(one, there, "app")
        lab.cluster.until(lambda: fetch(manager, here, target), "they reach one another")
        tunnel = next(name for name in overlay_links(lab, manager) if name.startswith("vx-"))
        pid = manager.docker("inspect", "-f", "{{.State.Pid}}", here).strip()
        inside = ("nsenter", "-t", pid, "-n", "--", "curl", "-sS", "--max-time", "2", f"http://{target}/")
        manager.kill_daemon()
        assert manager.run(*inside), "the network goes on without the daemon"
        for line in manager.run("bridge", "fdb", "show", "dev", tunnel).splitlines():
            if " dst " in line:
                manager.run("bridge", "fdb", "del", line.split()[0], "dev", tunnel, "self")
        manager.run("ip", "neigh", "flush", "dev", tunnel, "nud", "permanent")
        manager.run("ip", "neigh", "add", "192.0.2.1", "lladdr", "02:42:c0:00:02:01", "dev", tunnel, "nud", "permanent")
        with pytest.raises(LabError):
            manager.run(*inside)
        manager.start()
        lab.cluster.until(lambda: fetch(manager, here, target), "repaired")
        assert "192.0.2.1" not in manager.run("ip", "neigh", "show", "dev", tunnel)


def test_the_mtu_is_what_fits(lab: Formed) -> None:
    manager, one, _ = lab.hosts
    web = service(lab, "web", 3, "--network", "app", "--network", "small", "--mode", "global")
    with network(lab, "app"), network(lab, "small", "--opt", "com.docker.network.driver.mtu=1300"), web:
        if True:
            here, there = containers(manager, "web")[0], containers(one, "web")[0]
            sizes = [int(word) for line in manager.docker("exec", here, "ip", "-o", "link").splitlines() if "eth" in line
                     for before, word in zip(line.split(), line.split()[1:], strict=False) if before == "mtu"]  # fmt: skip
            underlay = int(manager.run("cat", "/sys/class/net/eth0/mtu"))
            assert sorted(sizes) == [1300, underlay - 50]
            target, largest = addresses(one, there, "app"), str(underlay - 50 - 28)
            manager.docker("exec", here, "ping", "-c", "1", "-W", "2", "-s", largest, target)


def test_nothing_of_a_network_leaves_a_host_for_nobody(lab: Formed) -> None:
    """No flooding, no learning: what no node told of is not asked for elsewhere."""
    manager, one, _ = lab.hosts
    with network(lab, "app"), service(lab, "web", 3, "--network", "app", "--mode", "global"):
        here = containers(manager, "web")[0]
        lab.cluster.until(lambda: fetch(manager, here, addresses(one, containers(one, "web")[0], "app")), "reach")
        tunnel = next(name for name in overlay_links(lab, manager) if name.startswith("vx-"))
        sent = int(manager.run("cat", f"/sys/class/net/{tunnel}/statistics/tx_packets"))
        subnet = addresses(manager, here, "app").rpartition(".")[0]
        with pytest.raises(LabError):
            manager.docker("exec", here, "ping", "-c", "2", "-W", "1", f"{subnet}.250")
        after = int(manager.run("cat", f"/sys/class/net/{tunnel}/statistics/tx_packets"))
        assert after - sent <= 1
