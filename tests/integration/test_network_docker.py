"""Networks through the docker command line and the bare API of a real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness.daemon import Daemon
from tests.harness.machine import run
from tests.harness.wait import until

WEB = ("sh", "-c", "hostname > /index.html; exec httpd -f -p 80 -h /")


@contextmanager
def network(shoald: Daemon, name: str, *options: str) -> Iterator[None]:
    shoald.docker("network", "create", *options, name)
    try:
        yield
    finally:
        shoald.docker("network", "rm", name)


@contextmanager
def container(shoald: Daemon, name: str, *options: str, command: tuple[str, ...] = WEB) -> Iterator[None]:
    shoald.docker("run", "-d", "--name", name, "--hostname", name, *options, "busybox", *command)
    try:
        yield
    finally:
        shoald.docker("rm", "-f", name)


def inspect(shoald: Daemon, name: str) -> Any:
    return json.loads(shoald.docker("network", "inspect", name))[0]


def fetch(shoald: Daemon, *options: str, url: str = "http://web/") -> str:
    return shoald.docker("run", "--rm", *options, "busybox", "timeout", "5", "wget", "-qO-", url).strip()


def request(shoald: Daemon, method: str, path: str, body: object = None) -> tuple[int, Any]:
    options = ["-X", method, "-w", "\n%{http_code}", "-H", "Content-Type: application/json"]
    if body is not None:
        options += ["-d", json.dumps(body)]
    text, _, status = shoald.curl(path, *options).rpartition("\n")
    return int(status), json.loads(text) if text.strip() else None


def test_containers_find_each_other_and_are_found(shoald: Daemon) -> None:
    options = ("--network", "net", "--ip", "10.77.0.9", "--ip6", "fd77::9", "--network-alias", "www", "-p", "8080:80")
    with (
        network(shoald, "net", "--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77::/64", "--label", "a=b"),
        container(shoald, "web", *options),
    ):
        until(lambda: run(*shoald.inside("curl", "-s", "http://127.0.0.1:8080/"), check=False), "it serves")
        for url in ("http://web/", "http://www/", "http://10.77.0.9/", "http://[fd77::9]/"):
            assert fetch(shoald, "--network", "net", url=url) == "web", url
        outside = ["nsenter", f"--net=/run/netns/{shoald.outside}", "curl", "-s", f"http://{shoald.address}:8080/"]
        assert run(*outside).strip() == "web"
        assert "0.0.0.0:8080" in shoald.docker("port", "web")
        [shown] = inspect(shoald, "net")["Containers"].values()
        assert (shown["Name"], shown["IPv4Address"], shown["IPv6Address"]) == ("web", "10.77.0.9/24", "fd77::9/64")


def test_connect_and_disconnect(shoald: Daemon) -> None:
    with network(shoald, "front"), network(shoald, "back"), container(shoald, "web", "--network", "back"):
        shoald.docker("network", "connect", "--alias", "late", "front", "web")
        assert fetch(shoald, "--network", "front", url="http://late/") == "web"
        shoald.docker("network", "disconnect", "front", "web")
        assert not inspect(shoald, "front")["Containers"]
        shoald.docker("stop", "-t", "0", "web")
        shoald.docker("network", "connect", "front", "web")
        shoald.docker("start", "web")
        assert set(shoald.docker("exec", "web", "ls", "/sys/class/net").split()) == {"lo", "eth0", "eth1"}
        assert fetch(shoald, "--network", "front") == "web"


def test_filters(shoald: Daemon) -> None:
    def names(*filters: str) -> set[str]:
        options = [word for text in filters for word in ("--filter", text)]
        return set(shoald.docker("network", "ls", "--format", "{{.Name}}", *options).split())

    with network(shoald, "red", "--label", "colour=red"), network(shoald, "blue", "--internal"):
        assert {"bridge", "host", "none", "red", "blue"} <= names()
        assert names("label=colour") == {"red"}
        assert names("name=bl") == {"blue"}
        assert names("driver=host") == {"host"}
        assert names("type=custom", "scope=local") == {"red", "blue"}
        assert names("id=" + inspect(shoald, "red")["Id"][:12]) == {"red"}
        with container(shoald, "web", "--network", "red"):
            assert names("dangling=true", "scope=local") == {"blue"}
        refused = shoald.docker_result("network", "ls", "--filter", "colour=red")
        assert "invalid filter" in refused.stderr


def test_prune_spares_what_a_stopped_container_names(shoald: Daemon) -> None:
    shoald.docker("network", "create", "idle")
    with network(shoald, "kept"), container(shoald, "web", "--network", "kept"):
        shoald.docker("stop", "-t", "0", "web")
        assert shoald.docker("network", "prune", "-f", "--filter", "until=1h").strip() == ""
        assert shoald.docker("network", "prune", "-f").split() == ["Deleted", "Networks:", "idle"]


def test_statuses_of_refusals(shoald: Daemon) -> None:
    with network(shoald, "net", "--subnet", "10.77.0.0/24"), container(shoald, "web", "--network", "net"):
        create: list[tuple[int, object]] = [
            (409, {"Name": "net"}),
            (403, {"Name": "bridge"}),
            (403, {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.77.0.0/16"}]}}),
            (400, {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.77.0.0/99"}]}}),
            (404, {"Name": "x", "Driver": "macvlan"}),
            (400, {"Name": "x", "Options": {"parent": "eth0"}}),
            (400, {"Name": "x", "Colour": "red"}),
            (400, {"Name": 7}),
            (400, {}),
        ]
        for status, body in create:
            assert request(shoald, "POST", "/networks/create", body)[0] == status, body
        assert request(shoald, "DELETE", "/networks/net")[0] == 403
        assert request(shoald, "DELETE", "/networks/none")[0] == 403
        assert request(shoald, "GET", "/networks/nothing")[0] == 404
        assert request(shoald, "GET", "/networks/net?scope=swarm")[0] == 404
        assert request(shoald, "POST", "/networks/net/connect", {"Container": "nothing"})[0] == 404
        assert request(shoald, "POST", "/networks/net/connect", {"Container": "web"})[0] == 403
        assert request(shoald, "POST", "/networks/bridge/disconnect", {"Container": "web"})[0] in (403, 404)
        status, error = request(shoald, "POST", "/networks/nothing/connect", {"Container": "web"})
        assert (status, error) == (404, {"message": "network nothing not found"})


@pytest.mark.parametrize("mode", ["none", "host"])
def test_modes_without_a_network(shoald: Daemon, mode: str) -> None:
    links = shoald.docker("run", "--rm", "--network", mode, "busybox", "ls", "/sys/class/net").split()
    assert ("eth0" in links) == (mode == "host")


def test_sharing_a_containers_network(shoald: Daemon) -> None:
    with container(shoald, "web"):
        assert fetch(shoald, "--network", "container:web", url="http://127.0.0.1/") == "web"


def test_a_taken_port_leaves_nothing_behind(shoald: Daemon) -> None:
    with container(shoald, "web", "-p", "8080:80"):
        before = shoald.snapshot()
        refused = shoald.docker_result("run", "-d", "--name", "late", "-p", "8080:80", "busybox", "true")
        assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in refused.stderr
        shoald.docker("rm", "late")

        def left() -> list[str]:
            # Rules change meanwhile, as the manager makes its own networks known.
            return [line for line in before.differences(shoald.snapshot()) if not line.startswith("nft")]

        until(lambda: not left(), "nothing of the failed start is left")


def test_the_first_free_port_of_a_range_is_published(shoald: Daemon) -> None:
    """The range stays the container's wish: each start takes what is free of it then."""
    wish = ("-p", "8000-8001:80")
    with container(shoald, "one", *wish), container(shoald, "two", *wish):
        assert (published(shoald, "one"), published(shoald, "two")) == ("8000", "8001")
        refused = shoald.docker_result("run", "-d", "--name", "three", *wish, "busybox", "true")
        assert "Bind for 0.0.0.0:8000-8001 failed: port is already allocated" in refused.stderr
        shoald.docker("stop", "-t", "0", "one")
        shoald.docker("restart", "-t", "0", "two")
        assert published(shoald, "two") == "8000"
        shoald.docker("start", "one")
        assert published(shoald, "one") == "8001"
        shoald.docker("rm", "three")
    ours = shoald.shoal("run", "-d", "--name", "four", "--hostname", "four", *wish, "busybox", *WEB)
    assert (ours.returncode, published(shoald, "four")) == (0, "8000")
    shoald.docker("rm", "-f", "four")
    for options in (("-p", "8000-8001:80-82"), ("-p", "8001-8000:80")):
        assert shoald.docker_result("run", "--rm", *options, "busybox", "true").returncode == 125
        assert shoald.shoal("run", "--rm", *options, "busybox", "true").returncode == 125


def published(shoald: Daemon, name: str) -> str:
    """The host port of 80/tcp, once a request to it is answered by this container."""
    port = shoald.docker("port", name, "80/tcp").split()[0].rpartition(":")[2]
    page = shoald.inside("curl", "-s", f"http://127.0.0.1:{port}/")
    until(lambda: run(*page, check=False).strip() == name, f"{name} answers at {port}")
    return port


def test_networks_and_addresses_survive_a_kill(shoald: Daemon) -> None:
    with network(shoald, "net"), container(shoald, "web", "--network", "net", "-p", "8080:80"):
        before = inspect(shoald, "net")
        shoald.kill()
        assert run(*shoald.inside("curl", "-s", "http://127.0.0.1:8080/")).strip() == "web"
        shoald.start()
        assert inspect(shoald, "net") == before
        assert fetch(shoald, "--network", "net") == "web"
        assert run(*shoald.inside("curl", "-s", "http://127.0.0.1:8080/")).strip() == "web"


def test_what_a_network_cannot_give_is_refused_at_once(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "resting", "busybox", "true")
    with network(shoald, "net"):
        for option in (("--link-local-ip", "169.254.1.1"), ("--driver-opt", "odd=1"), ("--link", "resting:x")):
            refused = shoald.docker_result("network", "connect", *option, "net", "resting")
            assert "not supported" in refused.stderr, refused.stderr
    shoald.docker("rm", "resting")
    ported = shoald.docker_result("run", "--rm", "--network", "host", "-p", "80:80", "busybox", "true")
    assert "Published ports are discarded when using host network mode" in ported.stderr
