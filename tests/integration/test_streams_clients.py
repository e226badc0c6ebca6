"""Attach, exec and logs as docker-py and aiodocker do them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiodocker
import pytest

from tests.harness.daemon import Daemon

# docker-py leaves the sockets of its execs to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def client(shoald: Daemon) -> Iterator[Any]:
    made = shoald.client()
    yield made
    made.close()


@pytest.fixture
def cat(client: Any) -> Iterator[Any]:
    """A container that gives back what it gets."""
    container = client.containers.run("busybox", ["cat"], detach=True, stdin_open=True)
    yield container
    container.remove(force=True)


def test_docker_py_runs_in_the_foreground(client: Any) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"


def test_docker_py_exec_variants(cat: Any) -> None:
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    assert cat.exec_run(command).exit_code == 3
    assert cat.exec_run(command, demux=True).output == (b"out\n", b"err\n")
    assert b"".join(cat.exec_run(["seq", "3"], stream=True).output) == b"1\n2\n3\n"
    assert cat.exec_run(["sh", "-c", "tty"], tty=True).output == b"/dev/pts/0\r\n"
    assert cat.exec_run(["id", "-u"], user="nobody").output == b"65534\n"


def test_docker_py_attaches_by_socket(client: Any, cat: Any) -> None:
    socket = client.api.attach_socket(cat.id, params={"stdin": 1, "stdout": 1, "stream": 1})
    socket._sock.sendall(b"hello\n")
    assert socket.read(8 + 6) == b"\x01\0\0\0\0\0\0\x06hello\n"
    socket._sock.close()
    socket.close()
    assert cat.logs() == b"hello\n"


def test_docker_py_follows_logs(client: Any) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"], detach=True
    )
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert container.logs(tail=1, timestamps=True).endswith(b"Z 3\n")
    container.remove(force=True)


async def test_aiodocker_exec_attach_and_logs(shoald: Daemon) -> None:
    async with aiodocker.Docker(url=shoald.url) as docker, asyncio.timeout(60):
        config = {"Image": "busybox", "Cmd": ["cat"], "OpenStdin": True}
        container = await docker.containers.run(config, name="aio")
        async with container.attach(stdin=True, stdout=True, stderr=True) as stream:
            await stream.write_in(b"hello\n")
            message = await stream.read_out()
            assert (message.stream, message.data) == (1, b"hello\n")
        made = await container.exec(["sh", "-c", "echo inside; exit 2"])
        async with made.start() as stream:
            assert (await stream.read_out()).data == b"inside\n"
            assert await stream.read_out() is None
        assert (await made.inspect())["ExitCode"] == 2
        assert await container.log(stdout=True) == ["hello\n"]
        assert (await container.stats(stream=False))[0]["name"] == "/aio"
        assert (await container.top())["Titles"][1] == "PID"
        await container.delete(force=True)
