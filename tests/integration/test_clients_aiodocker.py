"""A tour through the Engine API by aiodocker."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable

import aiodocker
import pytest

from tests.harness.daemon import Daemon
from tests.harness.images import archive, layer
from tests.harness.wait import eventually, until

TICKING = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"]
SLEEP = ["sleep", "100000"]


async def until_true(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so; the client's own time limit ends a wait in vain."""
    while not await condition():  # noqa: ASYNC110 - what is waited for happens in another process
        await asyncio.sleep(0.05)


@pytest.fixture
async def aio(shoald: Daemon) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=shoald.url) as client, asyncio.timeout(60):
        yield client


async def test_aiodocker_runs_containers(aio: aiodocker.Docker) -> None:
    config = {"Image": "busybox", "Cmd": TICKING, "HostConfig": {"Memory": 64 << 20}, "Labels": {"aio": "1"}}
    container = await aio.containers.run(config=config, name="aio")
    assert [c.id for c in await aio.containers.list(filters={"label": ["aio=1"]})] == [container.id]
    async for line in container.log(stdout=True, follow=True):
        assert line == "tick 1\n"
        break
    execution = await container.exec(["sh", "-c", "echo out; exit 5"])
    async with execution.start(detach=False) as stream:
        message = await stream.read_out()
        assert message is not None
        assert message.data == b"out\n"
        assert await stream.read_out() is None
    assert (await execution.inspect())["ExitCode"] == 5
    (stats,) = await container.stats(stream=False)
    assert stats["memory_stats"]["limit"] == 64 << 20
    await container.put_archive("/tmp", layer({"x": b"data"}))
    assert (await container.get_archive("/tmp/x")).getnames() == ["x"]
    await container.rename("aio2")
    await container.pause()
    await container.unpause()
    await container.restart(t=0)
    assert (await container.show())["State"]["Running"]
    await container.kill()
    assert (await container.wait())["StatusCode"] == 137
    await container.delete(force=True, v=True)
    with pytest.raises(aiodocker.exceptions.DockerError) as failure:
        await aio.containers.get("aio2")
    assert failure.value.status == 404


@pytest.mark.parametrize("tty", [False, True])
async def test_aiodocker_attaches(aio: aiodocker.Docker, tty: bool) -> None:
    config = {"Image": "busybox", "Cmd": ["cat"], "OpenStdin": True, "Tty": tty}
    container = await aio.containers.create(config)
    async with container.attach(stdin=True, stdout=True, stderr=True) as stream:
        await container.start()
        await stream.write_in(b"hello\n")
        message = await stream.read_out()
        assert message is not None
        assert message.data.startswith(b"hello")
    await container.delete(force=True)


async def test_aiodocker_attaches_by_a_web_socket(aio: aiodocker.Docker) -> None:
    container = await aio.containers.create({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": True, "Tty": True})
    await container.start()
    socket = await container.websocket(stdin=True, stdout=True, stderr=True, stream=True)
    await socket.send_bytes(b"hello\n")
    received = b""
    while b"hello\r\nhello" not in received:
        received += (await socket.receive_bytes(timeout=10)) or b""
    await socket.close()
    assert (await container.show())["State"]["Running"]
    await container.delete(force=True)


async def test_aiodocker_follows_events(aio: aiodocker.Docker) -> None:
    subscriber = aio.events.subscribe()
    await eventually(lambda: aio.events.json_stream is not None)
    volume = await aio.volumes.create({"Name": "aio-events"})
    while True:
        event = await subscriber.get()
        if event["Type"] == "volume":
            break
    assert (event["Action"], event["Actor"]["ID"]) == ("create", "aio-events")
    await volume.delete()
    await aio.events.stop()


async def test_aiodocker_images_volumes_and_networks(aio: aiodocker.Docker) -> None:
    loaded = [
        entry
        async for entry in aio.images.import_image(io.BytesIO(archive([layer({"x": b"x"})], ["aio:1"])), stream=True)
    ]
    assert "Loaded image: aio:1" in loaded[-1]["stream"]
    await aio.images.tag("aio:1", repo="aio", tag="2")
    assert {"aio:1", "aio:2"} <= {tag for image in await aio.images.list() for tag in image["RepoTags"]}
    assert (await aio.images.history("aio:1"))[0]["CreatedBy"] == "layer 0"
    async with aio.images.export_image("aio:1") as body:
        assert len(await body.read()) > 512
    await aio.images.delete("aio:1")
    await aio.images.delete("aio:2")
    with pytest.raises(aiodocker.exceptions.DockerError, match="cannot be reached"):
        await aio.images.pull("localhost:9/nope")
    volume = await aio.volumes.create({"Name": "av", "Labels": {"a": "b"}})
    assert [found["Name"] for found in (await aio.volumes.list(filters={"label": ["a"]}))["Volumes"]] == ["av"]
    await volume.delete()
    network = await aio.networks.create({"Name": "an", "Driver": "bridge"})
    container = await aio.containers.run(config={"Image": "busybox", "Cmd": SLEEP})
    await network.connect({"Container": container.id, "EndpointConfig": {"Aliases": ["alias"]}})
    assert list((await network.show())["Containers"]) == [container.id]
    await network.disconnect({"Container": container.id})
    await container.delete(force=True)
    assert await network.delete()


async def test_aiodocker_services(aio: aiodocker.Docker) -> None:
    secret = await aio.secrets.create(name="as", data="s3cret", b64=False)
    config = await aio.configs.create(name="ac", data="conf", b64=False)
    template = {
        "ContainerSpec": {
            "Image": "busybox",
            "Command": ["sh", "-c", "cat /run/secrets/as; echo; sleep 100000"],
            "Secrets": [
                {
                    "SecretID": secret["ID"],
                    "SecretName": "as",
                    "File": {"Name": "as", "UID": "0", "GID": "0", "Mode": 256},
                }
            ],
            "StopGracePeriod": 0,
        }
    }
    made = await aio.services.create(task_template=template, name="aio-service", mode={"Replicated": {"Replicas": 1}})

    async def running() -> bool:
        tasks = await aio.tasks.list(filters={"service": "aio-service", "desired-state": "running"})
        return [task["Status"]["State"] for task in tasks] == ["running"]

    async def logged() -> bool:
        return "s3cret" in "".join(await aio.services.logs(made["ID"], stdout=True))

    await until_true(running)
    await until_true(logged)
    version = (await aio.services.inspect(made["ID"]))["Version"]["Index"]
    assert await aio.services.update(made["ID"], version, image="busybox:latest")
    await until_true(running)
    (node,) = await aio.nodes.list()
    assert (await aio.nodes.inspect(node_id=node["ID"]))["Spec"]["Role"] == "manager"
    assert (await aio.swarm.inspect())["ID"]
    await aio.services.delete(made["ID"])
    await aio.secrets.delete(secret["ID"])
    await aio.configs.delete(config["ID"])
    assert (await aio.system.info())["Swarm"]["LocalNodeState"] == "active"


def test_nothing_is_left(shoald: Daemon) -> None:
    until(lambda: not shoald.docker("ps", "-aq"), "the containers are gone", timeout=20)
    for kind in ("volume", "service", "secret", "config"):
        assert shoald.docker(kind, "ls", "-q") == ""
    assert set(shoald.docker("network", "ls", "--format", "{{.Name}}").split()) == {"bridge", "host", "none", "ingress"}
