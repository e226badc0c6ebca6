"""One virtual machine with version 2 cgroups and a shoald, for all tests of this folder: a lab of one host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from examples.lab.hosts import Host, Lab
from examples.lab.layout import Blueprint, Folder
from examples.lab.vms import image
from tests.harness.images import busybox_archive

_MEMORY = 640  # MiB: containers with limits of their own, and room for the page cache


@pytest.fixture(scope="session")
def vm() -> Iterator[Host]:
    folder = Folder.named(f"vm-{os.getpid()}")
    vms = image.equip(Path(os.environ.get("SHOAL_VMS", image.CACHE)), folder.group, memory=_MEMORY, cpus=2)
    lab = Lab.up(folder, Blueprint(managers=1, workers=0, vms=vms))
    try:
        yield lab.host("manager1")
    finally:
        lab.down()


@pytest.fixture(scope="session")
def client(vm: Host) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(vm.url, timeout=120)
    client.images.load(busybox_archive().read_bytes())
    yield client
    client.close()
