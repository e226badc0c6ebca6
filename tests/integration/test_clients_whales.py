"""A tour through the Engine API by python-on-whales, which drives the docker command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import python_on_whales

from tests.harness.daemon import Daemon
from tests.harness.images import archive, layer
from tests.harness.wait import until

TICKING = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"]
SLEEP = ["sleep", "100000"]
POLITE = ["sh", "-c", "trap exit TERM; sleep 100000 & wait"]  # ends when it is asked to


@pytest.fixture(scope="module")
def whales(shoald: Daemon) -> python_on_whales.DockerClient:
    return python_on_whales.DockerClient(host=shoald.url)


def test_python_on_whales_containers(whales: python_on_whales.DockerClient, tmp_path: Path) -> None:
    assert whales.run("busybox", ["echo", "hello"], remove=True) == "hello"
    with pytest.raises(python_on_whales.exceptions.DockerException) as failure:
        whales.run("busybox", ["sh", "-c", "exit 3"], remove=True)
    assert failure.value.return_code == 3
    with whales.run(
        "busybox", TICKING, detach=True, name="whale", labels={"k": "v"}, memory="64m", cpus=0.5, tmpfs=["/t"],
        envs={"A": "b"}, publish=[(8085, 80)], restart="unless-stopped", init=True, read_only=False, hostname="moby",
        volumes=[("whale-data", "/data")], stop_signal="KILL",
    ) as container:  # fmt: skip
        assert whales.container.list(filters=[("label", "k=v")]) == [container]
        assert container.execute(["sh", "-c", "echo $A; hostname"]) == "b\nmoby"
        assert whales.logs(container, tail=1).startswith("tick ")
        (stats,) = whales.stats(container)
        assert stats.memory_limit == 64 << 20
        (tmp_path / "x").write_text("data")
        container.copy_to(tmp_path / "x", "/tmp/x")
        container.copy_from("/tmp/x", tmp_path / "y")
        assert (tmp_path / "y").read_text() == "data"
        assert whales.diff(container)["/tmp/x"] == "A"
        container.pause()
        assert container.state.paused
        container.unpause()
        assert container.host_config.memory == 64 << 20
        assert container.host_config.nano_cpus == 500_000_000
        assert container.network_settings.ports["80/tcp"][0]["HostPort"] == "8085"
        container.restart(time=0)
        assert container.state.running
        assert container.mounts[0].name == "whale-data"
    assert not whales.container.exists("whale")
    whales.volume.remove("whale-data")


def test_python_on_whales_images_volumes_and_networks(whales: python_on_whales.DockerClient, tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(archive([layer({"x": b"x"})], ["whale:1"]))
    assert whales.load(file) == ["whale:1"]
    image = whales.image.inspect("whale:1")
    image.tag("whale:2")
    assert whales.image.inspect("whale:2") == image
    whales.image.save(["whale:1"], output=tmp_path / "saved.tar")
    whales.image.remove(["whale:1", "whale:2"])
    assert whales.load(tmp_path / "saved.tar") == ["whale:1"]
    whales.image.remove("whale:1")
    volume = whales.volume.create("wv", labels={"a": "b"})
    assert whales.volume.list(filters=[("label", "a")]) == [volume]
    volume.remove()
    network = whales.network.create("wn", subnet="172.30.10.0/24", gateway="172.30.10.1", labels={"a": "b"})
    assert str(network.ipam.config[0]["Subnet"]) == "172.30.10.0/24"
    with whales.run("busybox", SLEEP, detach=True, networks=["wn"], ip="172.30.10.7", stop_signal="KILL") as container:
        network.reload()
        assert container.id in network.containers
        assert container.network_settings.networks["wn"].ip_address == "172.30.10.7"
    network.remove()
    assert not whales.network.exists("wn")


def test_python_on_whales_services_and_system(whales: python_on_whales.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    secret = whales.secret.create("ws", tmp_path / "secret")
    config = whales.config.create("wc", tmp_path / "secret")
    service = whales.service.create("busybox", POLITE, labels={"a": "b"}, detach=True, restart_condition="any")
    until(lambda: [task.status.state for task in service.ps()] == ["running"], "one task")
    service.scale(2, detach=True)
    until(lambda: [task.status.state for task in service.ps()] == ["running"] * 2, "two tasks")
    service.update(replicas=1, detach=True)
    service.reload()
    assert service.spec.mode["Replicated"]["Replicas"] == 1
    assert whales.service.list(filters=[("label", "a")]) == [service]
    service.remove()
    secret.remove()
    config.remove()
    (node,) = whales.node.list()
    assert node.status.state == "ready"
    assert whales.system.info().swarm.local_node_state == "active"
    assert whales.system.info().architecture
    assert whales.system.disk_free().images.total_count == 1
    assert whales.version().server.version
    whales.system.prune(volumes=True)


def test_nothing_is_left(shoald: Daemon) -> None:
    until(lambda: not shoald.docker("ps", "-aq"), "the containers are gone", timeout=20)
    for kind in ("volume", "service", "secret", "config"):
        assert shoald.docker(kind, "ls", "-q") == ""
    assert set(shoald.docker("network", "ls", "--format", "{{.Name}}").split()) == {"bridge", "host", "none", "ingress"}
