"""A tour through the Engine API by docker-py."""

from __future__ import annotations

import gc
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import pytest
from docker.types import IPAMConfig, IPAMPool, Mount, Resources, RestartPolicy, ServiceMode, UpdateConfig

from tests.harness.daemon import Daemon
from tests.harness.images import archive, layer
from tests.harness.wait import until

# docker-py leaves the connections of its streams to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
TICKING = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"]
SLEEP = ["sleep", "100000"]


@pytest.fixture(scope="module")
def py(shoald: Daemon) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=shoald.url, timeout=60)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves to the garbage collector is collected before the next module's tests, which take it amiss."""
    yield
    gc.collect()


def test_docker_py_runs_containers(py: docker.DockerClient) -> None:
    assert py.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as failure:
        py.containers.run("busybox", ["sh", "-c", "echo oh >&2; exit 3"], remove=True)
    assert (failure.value.exit_status, failure.value.stderr) == (3, b"oh\n")
    with pytest.raises(docker.errors.ImageNotFound):
        py.api.create_container("nope")
    container = py.containers.run(
        "busybox", TICKING, detach=True, name="py", labels={"k": "v"}, environment={"A": "b"}, mem_limit="64m",
        ports={"80/tcp": None}, restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}, tmpfs={"/t": "size=1m"},
        healthcheck={"test": ["CMD", "true"], "interval": 10**9},
    )  # fmt: skip
    assert container.labels == {"k": "v"}
    assert py.containers.list(filters={"label": "k=v"}) == [container]
    with closing(container.logs(stream=True, follow=True)) as lines:
        assert next(lines) == b"tick 1\n"
    assert container.exec_run(["sh", "-c", "echo $A; exit 4"]) == (4, b"b\n")
    assert container.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True).output == (b"o\n", b"e\n")
    assert container.stats(stream=False)["memory_stats"]["limit"] == 64 << 20
    assert container.put_archive("/tmp", layer({"x": b"data"}))
    chunks, stat = container.get_archive("/tmp/x")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as got:
        assert got.extractfile("x").read() == b"data"  # type: ignore[union-attr]
    assert (stat["name"], stat["size"]) == ("x", 4)
    assert {"Path": "/tmp/x", "Kind": 1} in container.diff()
    assert any("tick" in " ".join(row) for row in container.top()["Processes"])
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.update(mem_limit="96m", memswap_limit="96m")
    container.rename("py2")
    until(lambda: container.reload() or container.health == "healthy", "healthy")
    assert container.ports["80/tcp"][0]["HostPort"]
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.start()
    container.kill()
    assert container.wait(condition="not-running")["StatusCode"] == 137
    image = container.commit("made", tag="1", changes=["ENV X=y"])
    assert "X=y" in image.attrs["Config"]["Env"]
    assert b"".join(container.export())
    container.remove(v=True)
    py.images.remove("made:1")
    assert py.containers.prune()["SpaceReclaimed"] == 0
    with pytest.raises(docker.errors.NotFound):
        container.reload()


def test_docker_py_attaches(py: docker.DockerClient) -> None:
    container = py.containers.create("busybox", ["cat"], stdin_open=True)
    socket = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    socket._sock.sendall(b"hello\n")
    assert socket.read(8 + 6)[8:] == b"hello\n"
    socket.close()
    with closing(container.attach(stream=True, logs=True)) as stream:
        assert next(stream) == b"hello\n"
    container.remove(force=True)


def test_docker_py_follows_events(py: docker.DockerClient) -> None:
    stream = py.events(decode=True, filters={"type": "volume"})
    found: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: found.append(next(stream)))
    reader.start()
    until(lambda: py.info()["NEventsListener"] >= 1, "it listens")
    py.volumes.create("evented").remove()
    reader.join(10)
    stream.close()
    assert (found[0]["Action"], found[0]["Actor"]["ID"]) == ("create", "evented")


def test_docker_py_images(py: docker.DockerClient) -> None:
    (image,) = py.images.load(archive([layer({"only": b"x"})], ["small:1"]))
    assert image.tags == ["small:1"]
    assert image.tag("small", "2")
    assert {tag for found in py.images.list("small") for tag in found.tags} == {"small:1", "small:2"}
    assert image.history()[0]["CreatedBy"] == "layer 0"
    assert b"".join(image.save(named=True)).count(b"small:1")
    py.images.remove("small:1")
    py.images.remove(image.id, force=True)
    assert py.images.list("small") == []
    with pytest.raises(docker.errors.ImageNotFound):
        py.images.get("small:1")
    assert py.images.prune()["SpaceReclaimed"] >= 0
    with pytest.raises(docker.errors.APIError, match="cannot be reached"):
        py.images.pull("localhost:9/nope")


def test_docker_py_volumes_and_networks(py: docker.DockerClient) -> None:
    volume = py.volumes.create(
        "pv", driver="local", labels={"a": "b"}, driver_opts={"type": "tmpfs", "device": "tmpfs"}
    )
    assert py.volumes.list(filters={"label": "a"}) == [volume]
    py.containers.run("busybox", ["touch", "/v/x"], mounts=[Mount("/v", "pv")], remove=True)
    volume.remove()
    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet="172.30.9.0/24", gateway="172.30.9.1")])
    network = py.networks.create("pn", driver="bridge", ipam=ipam, labels={"a": "b"}, check_duplicate=True)
    container = py.containers.run("busybox", SLEEP, detach=True)
    network.connect(container, aliases=["alias"], ipv4_address="172.30.9.9")
    network.reload()
    assert network.containers == [container]
    container.reload()
    assert container.attrs["NetworkSettings"]["Networks"]["pn"]["IPAddress"] == "172.30.9.9"
    network.disconnect(container)
    network.remove()
    container.remove(force=True)
    assert py.networks.list(names=["pn"]) == []
    assert not py.networks.prune()["NetworksDeleted"]
    assert not py.volumes.prune()["VolumesDeleted"]


def test_docker_py_services(py: docker.DockerClient) -> None:
    secret = py.secrets.create(name="ps", data=b"s3cret", labels={"a": "b"})
    config = py.configs.create(name="pc", data=b"conf")
    service = py.services.create(
        "busybox", SLEEP, name="py-service", mode=ServiceMode("replicated", 2), labels={"a": "b"}, env=["X=1"],
        secrets=[docker.types.SecretReference(secret.id, "ps")],
        configs=[docker.types.ConfigReference(config.id, "pc", "/etc/pc")],
        resources=Resources(mem_limit=64 << 20), restart_policy=RestartPolicy("any", delay=0),
        update_config=UpdateConfig(parallelism=1, delay=0), stop_grace_period=0,
    )  # fmt: skip

    def running() -> list[dict[str, Any]]:
        return [task for task in service.tasks({"desired-state": "running"}) if task["Status"]["State"] == "running"]

    until(lambda: len(running()) == 2, "two tasks")
    inside = py.containers.get(running()[0]["Status"]["ContainerStatus"]["ContainerID"])
    assert inside.exec_run(["cat", "/run/secrets/ps", "/etc/pc"]).output == b"s3cretconf"
    assert service.scale(1)["Warnings"] is None
    until(lambda: len(running()) == 1, "one task")
    service.reload()
    assert service.update(env=["X=2"], fetch_current_spec=True)["Warnings"] is None
    until(lambda: [t["Spec"]["ContainerSpec"]["Env"] for t in running()] == [["X=2"]], "the new task")
    assert [s.name for s in py.services.list(filters={"name": "py-service"})] == ["py-service"]
    (node,) = py.nodes.list(filters={"role": "manager"})
    assert node.attrs["Status"]["State"] == "ready"
    with pytest.raises(docker.errors.APIError, match="is in use by the following service"):
        secret.remove()
    service.remove()
    until(lambda: py.containers.list(filters={"label": "com.docker.swarm.service.name=py-service"}) == [], "gone")
    secret.remove()
    config.remove()
    assert py.swarm.attrs["JoinTokens"] == {"Worker": "", "Manager": ""}  # nobody joins a node that is alone


def test_nothing_is_left(shoald: Daemon) -> None:
    until(lambda: not shoald.docker("ps", "-aq"), "the containers are gone", timeout=20)
    for kind in ("volume", "service", "secret", "config"):
        assert shoald.docker(kind, "ls", "-q") == ""
    assert set(shoald.docker("network", "ls", "--format", "{{.Name}}").split()) == {"bridge", "host", "none", "ingress"}
