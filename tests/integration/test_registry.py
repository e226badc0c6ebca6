"""Debian's docker-registry with the docker command line, docker-py and our own: push, pull, accounts, TLS, crashes."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.harness.certificates import Authority
from tests.harness.daemon import Daemon, daemon
from tests.harness.images import archive, busybox_archive, layer
from tests.harness.machine import run
from tests.harness.registry import docker_registry
from tests.harness.wait import until

HOST = "localhost:5000"


@pytest.fixture(scope="module")
def registry(shoald: Daemon) -> Iterator[Path]:
    with docker_registry(shoald, 5000) as data:
        shoald.docker("tag", "busybox", f"{HOST}/base:1")
        shoald.docker("push", f"{HOST}/base:1")
        yield data


@pytest.fixture
def clean(shoald: Daemon, registry: Path) -> Iterator[None]:
    """Without images of the registry, before and after."""
    _remove(shoald)
    yield
    _remove(shoald)


def _remove(shoald: Daemon) -> None:
    shoald.docker("rmi", "-f", "busybox", check=False)
    for image in set(shoald.docker("images", "-aq").split()):
        shoald.docker("rmi", "-f", image)


def digests(shoald: Daemon, image: str) -> str:
    return shoald.docker("inspect", "-f", '{{join .RepoDigests " "}}', image).strip()


def test_push_and_pull_give_the_same_image(shoald: Daemon, clean: None) -> None:
    said = shoald.docker("pull", f"{HOST}/base:1")
    assert f"Status: Downloaded newer image for {HOST}/base:1" in said
    digest = digests(shoald, f"{HOST}/base:1")
    assert f"Digest: {digest.split('@')[1]}" in said
    assert f"Image is up to date for {HOST}/base:1" in shoald.docker("pull", f"{HOST}/base:1")
    assert digest.split("@")[1] in shoald.docker("images", "--digests")
    shoald.docker("tag", f"{HOST}/base:1", f"{HOST}/team/copy:2")
    pushed = shoald.docker("push", f"{HOST}/team/copy:2")
    assert "Mounted from base" in pushed
    assert f"2: digest: {digest.split('@')[1]}" in pushed
    assert "Layer already exists" in shoald.docker("push", f"{HOST}/team/copy:2")


def test_run_pulls_what_is_missing_and_all_tags_can_be_pulled(shoald: Daemon, clean: None) -> None:
    assert shoald.docker("run", "--rm", f"{HOST}/base:1", "echo", "hi") == "hi\n"
    shoald.docker("tag", f"{HOST}/base:1", f"{HOST}/many:1")
    shoald.docker("tag", f"{HOST}/base:1", f"{HOST}/many:2")
    shoald.docker("push", "-a", f"{HOST}/many")
    _remove(shoald)
    shoald.docker("pull", "-a", f"{HOST}/many")
    assert set(shoald.docker("images", "--format", "{{.Tag}}").split()) == {"1", "2"}


def test_docker_py_pulls_and_pushes(shoald: Daemon, clean: None) -> None:
    client = shoald.client()
    image = client.images.pull(f"{HOST}/base", tag="1")
    assert image.attrs["RepoDigests"]
    assert client.images.get_registry_data(f"{HOST}/base:1").id == image.attrs["RepoDigests"][0].split("@")[1]
    image.tag(f"{HOST}/py", "1")
    lines = list(client.images.push(f"{HOST}/py", tag="1", stream=True, decode=True))
    assert lines[-1]["aux"]["Digest"].startswith("sha256:")
    with pytest.raises(docker.errors.NotFound, match="manifest unknown"):
        client.images.pull(f"{HOST}/base", tag="none")
    client.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pull", f"{HOST}/none:1"), "not found: manifest unknown: manifest unknown"),
        (("pull", "localhost:5009/base:1"), "registry localhost:5009 cannot be reached"),
        (("push", f"{HOST}/none:1"), "tag does not exist"),
        (("pull", "--platform", "linux/%", f"{HOST}/base:1"), "invalid platform"),
        (("search", f"{HOST}/base"), "has no search"),
    ],
)
def test_refusals(shoald: Daemon, registry: Path, arguments: tuple[str, ...], sentence: str) -> None:
    result = shoald.docker_result(*arguments)
    assert result.returncode == 1
    assert sentence in result.stderr


def test_a_service_pulls_its_image_by_digest(shoald: Daemon, clean: None) -> None:
    name = f"{HOST}/base:1"
    until(lambda: shoald.docker("node", "ls", "-q", check=False), "the node is there")
    shoald.docker("service", "create", "--detach", "--name", "pulled", name, "sleep", "1000")
    try:
        tasks = ("service", "ps", "--no-trunc", "--format", "{{.Image}} {{.CurrentState}}", "pulled")
        until(lambda: " Running" in shoald.docker(*tasks), "the task runs", timeout=20)
        assert f"{name}@sha256:" in shoald.docker(*tasks)
        account = base64.urlsafe_b64encode(b'{"username": "me", "password": "x"}').decode()
        body = '{"Name": "ours", "TaskTemplate": {"ContainerSpec": {"Image": "x"}}, "Mode": {"Replicated": {"Replicas": 0}}}'
        options = ("-H", f"X-Registry-Auth: {account}", "-H", "Content-Type: application/json", "-d", body)
        assert "is not kept with the service yet" in shoald.curl("/services/create", *options)
        pinned = shoald.shoal("service", "update", "--detach", "--image", name, "ours")
        assert pinned.returncode == 0, pinned.stderr
        image = ("service", "inspect", "-f", "{{.Spec.TaskTemplate.ContainerSpec.Image}}", "ours")
        assert shoald.docker(*image).startswith(f"{name}@sha256:")
    finally:
        shoald.docker("service", "rm", "pulled")
        shoald.docker("service", "rm", "ours", check=False)
        until(lambda: not shoald.docker("ps", "-aq"), "its container is gone", timeout=30)


def test_an_account_is_needed_where_the_registry_says_so(shoald: Daemon, clean: None, tmp_path: Path) -> None:
    name = "localhost:5001/private:1"
    run("docker", "-H", shoald.url, "load", "-i", str(busybox_archive()))
    shoald.docker("tag", "busybox", name)
    with docker_registry(shoald, 5001, account=("me", "right")):
        for command in ("push", "pull"):
            refused = shoald.docker_result(command, name)
            assert refused.returncode == 1
            assert "unauthorized: authentication required" in refused.stderr
        for program in (["docker"], [*_shoal()]):
            environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path / program[0][-6:])}
            base = [*program, "-H", shoald.url]
            _say([*base, "login", "-u", "me", "--password-stdin", "localhost:5001"], environment, "right")
            _say([*base, "push", name], environment)
            shoald.docker("rmi", "-f", name)
            _say([*base, "pull", name], environment)
            assert digests(shoald, name)
            _say([*base, "logout", "localhost:5001"], environment)


def _shoal() -> list[str]:
    import sys

    return [sys.executable, "-m", "shoal"]


def _say(command: list[str], environment: dict[str, str], text: str = "") -> str:
    result = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_tls_by_an_own_ca(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate = authority.issue("registry", use="server", address="198.18.99.9")
    folder = tmp_path / "certs"
    with daemon("--registry-certs", str(folder)) as shoald:
        run("ip", "-n", shoald.netns, "addr", "add", "198.18.99.9/32", "dev", "lo")
        shoald.docker("load", "-i", str(busybox_archive()))
        with docker_registry(shoald, 5443, tls=certificate):
            run(*shoald.inside("true"))
            name = "198.18.99.9:5443/app:1"
            shoald.docker("tag", "busybox", name)
            _forward(shoald)
            assert "certificate" in shoald.docker_result("push", name).stderr
            (folder / "198.18.99.9:5443").mkdir(parents=True)
            (folder / "198.18.99.9:5443" / "ca.crt").write_bytes(authority.file.read_bytes())
            shoald.docker("push", name)
            account = '{"username": "me", "password": "any", "serveraddress": "198.18.99.9:5443"}'
            said = shoald.curl("/auth", "-H", "Content-Type: application/json", "-d", account)
            assert "Login Succeeded" in said


def _forward(shoald: Daemon) -> None:
    """The registry listens on 127.0.0.1; the address that is not loopback's leads there, too."""
    rule = "add table ip t; add chain ip t o { type nat hook output priority -100; }; "
    rule += "add rule ip t o ip daddr 198.18.99.9 dnat to 127.0.0.1"
    run("ip", "netns", "exec", shoald.netns, "nft", rule)


def test_kill_in_the_middle_of_pulls_leaves_nothing_wrong() -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    layers = [layer({f"f{n}-{m}": os.urandom(200_000) for m in range(30)}) for n in range(4)]
    with daemon() as shoald, docker_registry(shoald, 5000):
        path = shoald.folder / "image.tar"
        path.write_bytes(archive(layers, [f"{HOST}/big:1"]))
        shoald.docker("load", "-i", str(path))
        shoald.docker("push", f"{HOST}/big:1")
        shoald.docker("rmi", f"{HOST}/big:1")
        for _ in range(6):
            with subprocess.Popen(
                ["docker", "-H", shoald.url, "pull", "-q", f"{HOST}/big:1"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ):
                time.sleep(chance.uniform(0.0, 0.6))
                shoald.kill()
            shoald.start()
            _check_blobs(shoald, seed)
        shoald.docker("pull", f"{HOST}/big:1")
        _check_blobs(shoald, seed)
        container = shoald.docker("create", f"{HOST}/big:1", "x").strip()
        for number in range(4):
            shoald.docker("cp", f"{container}:/f{number}-29", str(shoald.folder / "out"))
            assert (shoald.folder / "out").read_bytes() in layers[number]
        assert not list((shoald.root / "images/parts").iterdir())


def _check_blobs(shoald: Daemon, seed: int) -> None:
    for blob in (shoald.root / "images/blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name, f"seed {seed}"
