"""What the network keeps on disk: networks below the root folder, sandboxes below the state folder.

A network's file is written before anything of it exists and removed after everything is gone; so is a sandbox's. What a
killed daemon left half done is found by comparing these files with the kernel. Sandboxes do not outlive a reboot, so
their files are not synced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from common.durable import write_file
from common.model import Network
from common.model.container import EndpointSettings
from common.settings import Settings
from worker.network.base import PortMapping, SandboxSpec

T = TypeVar("T")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container's interface on one network. Addresses with prefix length, "" where it has none of that version."""

    network_id: str
    endpoint_id: str
    interface: str  # inside the sandbox
    host_interface: str
    mac: str
    ipv4: str = ""
    ipv6: str = ""
    gateway4: str = ""
    gateway6: str = ""
    sysctls: dict[str, str] = {}
    dns_names: list[str] = []
    settings: EndpointSettings = EndpointSettings()  # as asked for


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sandbox: what was asked, what it got. `ports` have their host ports; `mode` is bridge, host or none."""

    spec: SandboxSpec
    mode: str = "bridge"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PortMapping, ...] = ()

    @property
    def id(self) -> str:
        return self.spec.container_id


class Records:
    """The folders and files of the network."""

    def __init__(self, settings: Settings) -> None:
        self._networks = settings.root / "networks"
        self._cluster = settings.root / "networks" / "cluster"
        self._sandboxes = settings.state / "network" / "sandboxes"
        self._files = settings.state / "network" / "files"
        self._namespaces = settings.state / "netns"

    def make_folders(self) -> None:
        for folder in (self._networks, self._cluster, self._sandboxes, self._files, self._namespaces):
            folder.mkdir(parents=True, exist_ok=True)

    def namespace(self, container_id: str) -> Path:
        return self._namespaces / container_id

    def namespaces(self) -> list[str]:
        return sorted(os.listdir(self._namespaces))

    def files(self, container_id: str) -> Path:
        """The folder of a sandbox's resolv.conf, hosts and hostname."""
        return self._files / container_id

    def file_folders(self) -> list[str]:
        return sorted(os.listdir(self._files))

    def networks(self, *, cluster: bool) -> Iterator[Network]:
        return _load(self._cluster if cluster else self._networks, Network)

    def save_network(self, network: Network, *, cluster: bool) -> None:
        folder = self._cluster if cluster else self._networks
        write_file(folder / f"{network.id}.json", msgspec.json.encode(network))

    def remove_network(self, network_id: str, *, cluster: bool) -> None:
        folder = self._cluster if cluster else self._networks
        (folder / f"{network_id}.json").unlink(missing_ok=True)

    def sandboxes(self) -> Iterator[SandboxRecord]:
        return _load(self._sandboxes, SandboxRecord)

    def save_sandbox(self, record: SandboxRecord) -> None:
        write_file(self._sandboxes / f"{record.id}.json", msgspec.json.encode(record), durable=False)

    def remove_sandbox(self, container_id: str) -> None:
        (self._sandboxes / f"{container_id}.json").unlink(missing_ok=True)


def _load(folder: Path, kind: type[T]) -> Iterator[T]:
    """All records of a folder; remains of interrupted writes are removed."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            path.unlink()
        elif path.suffix == ".json":
            yield msgspec.json.decode(path.read_bytes(), type=kind)
