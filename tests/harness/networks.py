"""LocalNetworks on a host of its own, with sandboxes in place of containers."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_interface, ip_network
from pathlib import Path

from common.errors import NotFound
from common.ids import hex_id
from common.model import Guest, Network, NetworkSpec
from common.model.container import EndpointIPAMConfig, EndpointSettings
from common.model.network import IPAM, IPAMPool
from common.places import Place
from common.settings import Settings
from tests.harness.machine import run
from tests.harness.netns import Host, host
from worker.engine.events import EventBus
from worker.network.base import Attachment, Here, PortMapping, Sandbox, SandboxSpec
from worker.network.networks import LocalNetworks


class Plane:
    """A ControlPlane that gives the addresses from .100 on of the networks that it is told of."""

    def __init__(self) -> None:
        self.networks: dict[str, Network] = {}
        self.guests: dict[tuple[str, str], Guest] = {}
        self.given = 99
        self.place = Here()

    def here(self) -> Here:
        return self.place

    async def attach(self, container_id: str, network: str, addresses: Sequence[str]) -> Place:
        if network not in self.networks:
            raise NotFound(f"network {network} not found")
        found = self.networks[network]
        self.given += 1
        subnet = ip_network(found.ipam.config[0].subnet)
        given = [f"{address}/{subnet.prefixlen}" for address in addresses or [str(subnet[self.given])]]
        guest = Guest(container_id=container_id, network_id=found.id, addresses=given)
        self.guests[container_id, found.id] = guest
        return Place(network=found, guest=guest)

    async def detach(self, container_id: str, network_id: str) -> None:
        self.guests.pop((container_id, network_id), None)


class World:
    """A host with its networks. `networks` is replaced by `restart()`."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self.host = host
        self.settings = settings
        self.events = EventBus()
        self.plane = Plane()
        self.networks = LocalNetworks(settings, self.events, self.plane)

    async def start(self, running: Sequence[str] = ()) -> None:
        await self.networks.start_up()
        await self.networks.recover(running)

    async def restart(self, running: Sequence[str]) -> None:
        """A new daemon on what the old one left."""
        await self.networks.shut_down()
        self.networks = LocalNetworks(self.settings, self.events, self.plane)
        await self.start(running)

    async def open(
        self, name: str, *networks: str | Attachment, ports: Sequence[PortMapping] = (), **options: object
    ) -> Sandbox:
        wishes = tuple(Attachment(network=n) if isinstance(n, str) else n for n in networks or ("bridge",))
        spec = SandboxSpec(
            container_id=hex_id(),
            name=name,
            hostname=f"host-{name}",
            attachments=wishes,
            ports=tuple(ports),
            **options,  # type: ignore[arg-type]
        )
        return await self.networks.open(spec)

    def leftovers(self) -> list[str]:
        """What containers and networks left behind: links, rules' elements, namespaces, files."""
        links = [line.split()[1] for line in run("ip", "-n", self.host.names[0], "-o", "link").splitlines()]
        names = [link.split("@")[0].rstrip(":") for link in links]
        found = [n for n in names if n not in ("lo", "eth0", self.settings.bridge_name)]
        for folder in ("netns", "network/sandboxes", "network/files"):
            found += os.listdir(self.settings.state / folder)
        return found

    def rules(self) -> str:
        return run("nsenter", f"--net={self.host.inside}", "--", "nft", "list", "ruleset")


@asynccontextmanager
async def world(*, dns: Sequence[str] = ()) -> AsyncIterator[World]:
    folder = Path("/dev/shm") / f"shoal-net-{os.urandom(3).hex()}"
    folder.mkdir()
    with host() as made:
        here = World(made, Settings(root=folder / "root", state=folder / "state", dns=list(dns)))
        try:
            await here.start()
            yield here
        finally:
            for record in here.settings.state.glob("netns/*"):
                await here.networks.close(record.name)
            await here.networks.shut_down()
            shutil.rmtree(folder)


def tcp(container_port: int, host_port: int = 0, host_ip: str = "") -> PortMapping:
    return PortMapping(protocol="tcp", container_port=container_port, host_port=host_port, host_ip=host_ip)


def address(sandbox: Sandbox, network: str = "bridge") -> str:
    return sandbox.endpoints[network].ip_address


def address6(sandbox: Sandbox, network: str) -> str:
    return sandbox.endpoints[network].global_ipv6_address


def at(network: str, ipv4: str = "", **settings: object) -> Attachment:
    """An attachment with a fixed address."""
    config = EndpointIPAMConfig(ipv4_address=ipv4) if ipv4 else None
    return Attachment(network=network, settings=EndpointSettings(ipam_config=config, **settings))  # type: ignore[arg-type]


def subnet(name: str, cidr: str, **options: object) -> NetworkSpec:
    """A network with a subnet of the user's."""
    assert ip_interface(cidr)
    ipam = IPAM(config=[IPAMPool(subnet=cidr)])
    return NetworkSpec(name=name, ipam=ipam, **options)  # type: ignore[arg-type]
