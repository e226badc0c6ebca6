"""Users' containers on overlay networks of the cluster, by the docker command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness.services import WEB, Services
from tests.harness.wait import until


@pytest.fixture
def mesh(services: Services) -> Iterator[str]:
    services.daemon.docker("network", "create", "--driver", "overlay", "--attachable", "mesh")
    yield "mesh"
    services.daemon.docker("network", "rm", "mesh")


@contextmanager
def guest(services: Services, name: str, *options: str, network: str = "mesh") -> Iterator[None]:
    services.daemon.docker(
        "run", "-d", "--name", name, "--hostname", name, "--network", network, *options, "busybox", *WEB
    )
    try:
        yield
    finally:
        services.daemon.docker("rm", "-f", "-v", name)


def ask(services: Services, container: str, name: str) -> str:
    return services.daemon.docker("exec", container, "timeout", "5", "wget", "-qO-", f"http://{name}/", check=False)


def test_a_network_that_no_task_brought_is_known_at_once(services: Services, mesh: str) -> None:
    shown = services.daemon.docker("run", "--rm", "--network", mesh, "busybox", "ip", "-4", "addr", "show", "eth0")
    subnet = json.loads(services.daemon.docker("network", "inspect", mesh))[0]["IPAM"]["Config"][0]["Subnet"]
    assert f"inet {subnet.rpartition('.')[0]}." in shown


def test_guests_and_services_find_each_other(services: Services, mesh: str) -> None:
    with guest(services, "own", "--network-alias", "alias"), services.service("web", "--network", mesh, command=WEB):
        [task] = services.until_running("web", 1)
        container = task["Status"]["ContainerStatus"]["ContainerID"]
        until(lambda: ask(services, "own", "web"), "the guest reaches the service")
        assert {ask(services, container, name).strip() for name in ("own", "alias")} == {"own"}
        on_mesh = json.loads(services.daemon.docker("network", "inspect", "--verbose", mesh))[0]
        assert {c["Name"] for c in on_mesh["Containers"].values()} == {"own", task_name(task, "web")}
        assert [t["Name"] for t in on_mesh["Services"]["web"]["Tasks"]] == [task_name(task, "web")]
        refused = services.daemon.docker_result("network", "rm", mesh)
        assert "is in use by service web" in refused.stderr


def task_name(task: dict[str, object], service: str) -> str:
    return f"{service}.{task['Slot']}.{task['ID']}"


def test_a_guest_keeps_its_network_and_its_address_over_a_kill(services: Services, mesh: str) -> None:
    daemon = services.daemon
    address = "{{(index .NetworkSettings.Networks \"mesh\").IPAddress}}"  # fmt: skip
    with guest(services, "own"):
        before = daemon.docker("inspect", "--format", address, "own")
        daemon.kill()
        daemon.start()
        assert daemon.docker("inspect", "--format", address, "own") == before
        with guest(services, "other"):
            assert ask(services, "other", "own").strip() == "own"
        refused = daemon.docker_result("network", "rm", mesh)
        assert "is in use by container" in refused.stderr
        assert daemon.docker("network", "prune", "--force").strip() == ""
        daemon.docker("restart", "-t", "0", "own")
        until(lambda: ask(services, "own", "own"), "it serves again")


def test_connecting_and_disconnecting(services: Services, mesh: str) -> None:
    daemon = services.daemon
    with guest(services, "own"), guest(services, "late", network="bridge"):
        daemon.docker("network", "connect", "--alias", "joined", mesh, "late")
        assert ask(services, "own", "joined").strip() == "late"
        daemon.docker("network", "disconnect", mesh, "late")
        daemon.docker("stop", "-t", "0", "late")
        daemon.docker("network", "connect", mesh, "late")
        daemon.docker("start", "late")
        until(lambda: ask(services, "own", "late"), "it is on the network from its start")


def test_networks_that_are_not_attachable_refuse_guests(services: Services) -> None:
    daemon = services.daemon
    daemon.docker("network", "create", "--driver", "overlay", "closed")
    sentence = (
        "Could not attach to network closed: rpc error: code = PermissionDenied desc = network closed not manually"
    )
    with guest(services, "own", network="bridge"):
        for words in (("run", "--rm", "--network", "closed", "busybox"), ("network", "connect", "closed", "own")):
            refused = daemon.docker_result(*words)
            assert refused.returncode != 0
            assert sentence in refused.stderr
    assert daemon.docker("network", "prune", "--force").split() == ["Deleted", "Networks:", "closed"]
