"""The network's boundary: sandboxes (network namespaces) and their endpoints on networks.

A sandbox outlives the daemon: its namespace is pinned by a mount below the state folder. Addresses of bridge networks
are given here, those of overlay networks come with the request (the control plane gave them).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from common.model import Network, NetworkInspect, NetworkSpec
from common.model.container import EndpointSettings, PortBinding
from common.places import Place
from common.wire import Peer, ServiceEndpoint


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A wish: put the container on `network` (name or id) with these settings."""

    network: str
    settings: EndpointSettings = EndpointSettings()


class PortMapping(msgspec.Struct, frozen=True, kw_only=True):
    """One published port. On the way in, `host_port` 0 asks for an ephemeral one, `last_host_port` for the first that
    is free from `host_port` up to it."""

    protocol: str  # tcp, udp, sctp
    container_port: int
    host_ip: str = ""  # "": 0.0.0.0 and ::
    host_port: int = 0
    last_host_port: int = 0  # 0: `host_port` alone


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a container wants of the network. `dns*` and `extra_hosts` also go to resolv.conf and hosts.

    `assigned`: the control plane gave the addresses on the cluster's networks; elsewise it is asked for them.
    """

    container_id: str
    name: str
    hostname: str
    domainname: str = ""
    attachments: tuple[Attachment, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    assigned: bool = False


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """What it got: the namespace's path, the files to mount into the container, endpoints and ports by name."""

    container_id: str
    path: Path  # of the network namespace
    resolv_conf: Path
    hosts: Path
    hostname: Path
    endpoints: dict[str, EndpointSettings] = {}  # by network name
    ports: dict[str, list[PortBinding] | None] = {}  # "80/tcp" → bindings, as NetworkSettings.Ports


class Here(msgspec.Struct, frozen=True):
    """Which node this is, and the address at which it takes in the cluster's networks: empty where there are no other nodes."""

    node_id: str = ""
    data_path: str = ""


class Networks(Protocol):
    """All networks of one node and the containers on them."""

    async def create(self, spec: NetworkSpec) -> str:
        """Make a network of driver bridge; return its id. Conflict where the name is taken or a subnet overlaps."""

    async def remove(self, network: str) -> None: ...

    def inspect(self, network: str) -> NetworkInspect: ...

    def list(self) -> Sequence[NetworkInspect]: ...

    async def open(self, spec: SandboxSpec) -> Sandbox:
        """Make the namespace with all endpoints, ports and DNS; all or nothing."""

    async def close(self, container_id: str) -> None:
        """Give everything back: addresses, ports, namespace, files. Idempotent."""

    async def connect(self, container_id: str, attachment: Attachment) -> EndpointSettings: ...

    async def disconnect(self, container_id: str, network: str, *, force: bool = False) -> None: ...

    def sandbox(self, container_id: str) -> Sandbox | None: ...

    def rename(self, container_id: str, name: str) -> None:
        """The container's new name answers in DNS, the old one no more."""

    async def recover(self, running: Sequence[str]) -> None:
        """After a daemon's restart: keep the sandboxes of these containers, close all others, repair."""

    def stats(self, container_id: str) -> dict[str, dict[str, int]]:
        """Interface name → rx_bytes, rx_packets, rx_errors, rx_dropped, tx_…, as Docker's stats show them."""


class ClusterNetworks(Protocol):
    """What the session adds: networks, service addresses and published ports that the control plane decided."""

    async def ensure(self, network: Network) -> None:
        """Make the overlay network known here, and realise it when the first sandbox needs it."""

    async def forget_idle(self, needed: Callable[[], Collection[str]]) -> None:
        """Forget the networks that no sandbox is on and whose ids are not `needed`."""

    def guests(self) -> Sequence[str]:
        """Ids of users' containers that hold, or are asking for, places on the cluster's networks."""

    async def reach(self, peers: Sequence[Peer]) -> None:
        """The full set of what is on other nodes, and of this node's own addresses: the kernel's entries become exactly so."""

    async def program(self, endpoints: Sequence[ServiceEndpoint]) -> None:
        """The full set of service endpoints: VIPs, published ports and DNS names become exactly so."""


class ControlPlane(Protocol):
    """What the network asks of the control plane itself: places of users' containers on the cluster's networks."""

    def here(self) -> Here: ...

    async def attach(self, container_id: str, network: str, addresses: Sequence[str]) -> Place:
        """A place on the network (name or id), the same again for one who has it; `addresses` are wishes.

        Raises NotFound, Forbidden (not attachable, address in use), InvalidArgument, Conflict (no address is free),
        Unavailable.
        """

    async def detach(self, container_id: str, network_id: str) -> None:
        """Idempotent. Raises Unavailable."""
