"""One network as it lives on this node: its addresses in use, its endpoints, its bridge. No I/O here.

catalog.py holds these by name; sandboxes.py puts containers on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address, ip_interface, ip_network

import msgspec

from common.errors import Forbidden, InvalidArgument, Unsupported
from common.ids import hex_id
from common.model import Network, NetworkInspect
from common.model.container import EndpointIPAMConfig, EndpointSettings
from common.model.network import EndpointResource
from worker.network.base import SandboxSpec
from worker.network.firewall import BridgeRules
from worker.network.ipam import Pools, mac_of
from worker.network.options import (
    DEFAULT_BRIDGE,
    ENCRYPTED,
    PREDEFINED,
    bridge_options,
    check_endpoint,
    endpoint_options,
)
from worker.network.records import Endpoint
from worker.network.rtnl import Address, Interface, Subnet

_MODES = {"host": "host", "null": "none"}


class LiveNetwork:
    """`endpoints` by container id; `index` is the bridge's, 0 until it is realised; `lock` guards realising it.

    `mtu` is that of its interfaces, `own` are the addresses beside the gateways that its bridge has, None while that is not known.
    `leaving`: it is being removed; its subnets are in use until that is done, but nobody finds it any more.
    """

    def __init__(self, model: Network, *, cluster: bool = False) -> None:
        self.model = model
        self.cluster = cluster
        self.mode = _MODES.get(model.spec.driver, "bridge")
        self.options = bridge_options(model)
        self.pools = Pools(model.ipam)
        self.endpoints: dict[str, Endpoint] = {}
        self.container_names: dict[str, str] = {}
        self.index = 0
        self.mtu = self.options.mtu
        self.own: tuple[Interface, ...] | None = None
        self.leaving = False
        self.lock = asyncio.Lock()

    @property
    def id(self) -> str:
        return self.model.id

    @property
    def name(self) -> str:
        return self.model.spec.name

    @property
    def encrypted(self) -> bool:
        return ENCRYPTED in self.model.spec.options

    @property
    def predefined(self) -> bool:
        return not self.cluster and self.name in PREDEFINED

    @property
    def embedded_dns(self) -> bool:
        """Docker's default bridge has no names, for the sake of old ways; all others have."""
        return self.mode == "bridge" and not self.predefined

    @property
    def subnets(self) -> list[Subnet]:
        return [pool.subnet for pool in self.pools]

    @property
    def gateways(self) -> list[Interface]:
        return [ip_interface((pool.gateway, pool.subnet.prefixlen)) for pool in self.pools if pool.gateway]

    @property
    def rules(self) -> BridgeRules:
        return BridgeRules(
            self.options.interface, tuple(self.subnets), self.model.spec.internal, self.options.masquerade
        )

    def allocate(self, spec: SandboxSpec, settings: EndpointSettings, taken_names: set[str]) -> Endpoint:
        """Give the container its addresses and an interface name that is not in `taken_names`.

        Raises InvalidArgument, Forbidden (address in use, already connected), Unavailable (no address left).
        """
        if spec.container_id in self.endpoints:
            raise Forbidden(f"container {spec.name} is already connected to network {self.name}", ("network", self.id))
        self._check(settings)
        name, sysctls = endpoint_options(settings.driver_opts)
        if name in taken_names:
            raise InvalidArgument(f"two networks of container {spec.name} ask for the interface name {name!r}")
        given = self._addresses(settings.ipam_config or EndpointIPAMConfig())
        endpoint_id = hex_id()
        endpoint = Endpoint(
            network_id=self.id,
            endpoint_id=endpoint_id,
            interface=name or _free_name(self.options.prefix, taken_names),
            host_interface=f"veth{endpoint_id[:7]}",
            mac=settings.mac_address.lower().replace("-", ":") or mac_of(min(given.values(), key=_version)[0].ip),
            ipv4=str(given[4][0]) if 4 in given else "",
            ipv6=str(given[6][0]) if 6 in given else "",
            gateway4=self._gateway(given, 4),
            gateway6=self._gateway(given, 6),
            sysctls=sysctls,
            dns_names=_dns_names(spec, settings) if self.embedded_dns else [],
            settings=settings,
        )
        self._add(spec, endpoint)
        return endpoint

    def join(self, spec: SandboxSpec, settings: EndpointSettings) -> Endpoint:
        """Host and none: a place in the list of containers, and nothing else."""
        endpoint = Endpoint(
            network_id=self.id, endpoint_id=hex_id(), interface="", host_interface="", mac="", settings=settings
        )
        self._add(spec, endpoint)
        return endpoint

    def rename(self, container_id: str, endpoint: Endpoint, spec: SandboxSpec) -> Endpoint:
        """The endpoint with the names of the renamed container."""
        names = _dns_names(spec, endpoint.settings) if self.embedded_dns else []
        renamed = msgspec.structs.replace(endpoint, dns_names=names)
        self._add(spec, renamed)
        return renamed

    def restore(self, spec: SandboxSpec, endpoint: Endpoint) -> None:
        """Mark what a recorded endpoint has as taken."""
        for text in (endpoint.ipv4, endpoint.ipv6):
            if text:
                self.pools.take_this(ip_interface(text).ip)
        self._add(spec, endpoint)

    def release(self, container_id: str) -> None:
        """Idempotent."""
        endpoint = self.endpoints.pop(container_id, None)
        self.container_names.pop(container_id, None)
        if endpoint:
            self._give(ip_interface(text).ip for text in (endpoint.ipv4, endpoint.ipv6) if text)

    def inspect(self) -> NetworkInspect:
        spec = self.model.spec
        return NetworkInspect(
            name=spec.name,
            id=self.id,
            created=self.model.created_at,
            scope="swarm" if self.cluster else "local",
            driver=spec.driver,
            enable_ipv4=4 in self.pools.versions(),
            enable_ipv6=6 in self.pools.versions(),
            ipam=self.model.ipam,
            internal=spec.internal,
            attachable=spec.attachable,
            ingress=spec.ingress,
            containers={id: self._resource(id, endpoint) for id, endpoint in self.endpoints.items()},
            options=spec.options,
            labels=spec.labels,
        )

    def settings_of(self, endpoint: Endpoint) -> EndpointSettings:
        """What the container asked for together with what it got, as `docker inspect` shows it."""
        asked = endpoint.settings
        ipv4 = ip_interface(endpoint.ipv4) if endpoint.ipv4 else None
        ipv6 = ip_interface(endpoint.ipv6) if endpoint.ipv6 else None
        return EndpointSettings(
            ipam_config=asked.ipam_config,
            aliases=asked.aliases,
            driver_opts=asked.driver_opts,
            gw_priority=asked.gw_priority,
            mac_address=endpoint.mac,
            network_id=self.id,
            endpoint_id=endpoint.endpoint_id,
            gateway=endpoint.gateway4,
            ip_address=str(ipv4.ip) if ipv4 else "",
            ip_prefix_len=ipv4.network.prefixlen if ipv4 else 0,
            ipv6_gateway=endpoint.gateway6,
            global_ipv6_address=str(ipv6.ip) if ipv6 else "",
            global_ipv6_prefix_len=ipv6.network.prefixlen if ipv6 else 0,
            dns_names=endpoint.dns_names or None,
        )

    def _add(self, spec: SandboxSpec, endpoint: Endpoint) -> None:
        self.endpoints[spec.container_id] = endpoint
        self.container_names[spec.container_id] = spec.name

    def _check(self, settings: EndpointSettings) -> None:
        check_endpoint(settings)
        if self.cluster and settings.mac_address:
            raise Unsupported(f"network {self.name} is the cluster's: MAC addresses there follow from the IP addresses")
        if settings.aliases and self.model.spec.options.get(DEFAULT_BRIDGE) == "true":
            raise InvalidArgument("network-scoped aliases are only supported for user-defined networks")

    def _addresses(self, config: EndpointIPAMConfig) -> dict[int, tuple[Interface, Address | None]]:
        """IP version → (address, gateway): fixed ones first, so that a free one never takes a fixed one's place."""
        given: dict[int, tuple[Interface, Address | None]] = {}
        try:
            for version, text in ((4, config.ipv4_address), (6, config.ipv6_address)):
                if text:
                    given[version] = self.pools.take_this(self._fixed(version, text))
            for version in sorted(self.pools.versions() - set(given)):
                given[version] = self.pools.take(version, self.name)
        except BaseException:
            self._give(address.ip for address, _ in given.values())
            raise
        return given

    def _fixed(self, version: int, text: str) -> Address:
        try:
            address = ip_address(text)
        except ValueError:
            address = None
        if address is None or address.version != version:
            raise InvalidArgument(f"invalid IPv{version} address: {text}")
        if self.predefined:
            raise InvalidArgument("user-specified IP address is supported on user defined networks only")
        if not self.cluster and not self._user_subnet(version):
            raise InvalidArgument(
                "user-specified IP address is supported only when connecting to networks with user configured subnets"
            )
        return address

    def _user_subnet(self, version: int) -> bool:
        wanted = self.model.spec.ipam.config if self.model.spec.ipam else []
        return any(c.subnet and ip_network(c.subnet, strict=False).version == version for c in wanted)

    def _gateway(self, given: dict[int, tuple[Interface, Address | None]], version: int) -> str:
        gateway = given[version][1] if version in given else None
        return str(gateway) if gateway and not self.model.spec.internal else ""

    def _give(self, addresses: Iterable[Address]) -> None:
        for address in addresses:
            self.pools.give(address)

    def _resource(self, container_id: str, endpoint: Endpoint) -> EndpointResource:
        return EndpointResource(
            name=self.container_names[container_id],
            endpoint_id=endpoint.endpoint_id,
            mac_address=endpoint.mac,
            ipv4_address=endpoint.ipv4,
            ipv6_address=endpoint.ipv6,
        )


def _version(given: tuple[Interface, Address | None]) -> int:
    return given[0].version


def _free_name(prefix: str, taken: set[str]) -> str:
    return next(name for number in range(len(taken) + 1) if (name := f"{prefix}{number}") not in taken)


def _dns_names(spec: SandboxSpec, settings: EndpointSettings) -> list[str]:
    """The container's names on this network, without repetitions: name, aliases, short id, hostname."""
    names = [spec.name, *(settings.aliases or []), spec.container_id[:12], spec.hostname]
    return list(dict.fromkeys(name for name in names if name))
