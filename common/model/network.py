"""Networks, in the cluster's store (overlay) and on one node (bridge, host, none): one shape for both."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import field

from common.model.base import EPOCH, EngineSpec, Object, Spec


class IPAMPool(EngineSpec, omit_defaults=True, frozen=True, kw_only=True):
    """One subnet in CIDR form; `ip_range` limits what is given out; `auxiliary_addresses` are kept free, by name."""

    subnet: str = ""
    ip_range: str = field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] = field(default_factory=dict, name="AuxiliaryAddresses")


class IPAM(EngineSpec, frozen=True, kw_only=True):
    driver: str = "default"
    options: dict[str, str] | None = None
    config: list[IPAMPool] = []


class NetworkSpec(EngineSpec, frozen=True, kw_only=True):
    """The body of POST /networks/create."""

    name: str
    check_duplicate: bool = False
    driver: str = "bridge"
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: dict[str, str] | None = None
    ipam: IPAM | None = field(default=None, name="IPAM")
    enable_ipv4: bool | None = field(default=None, name="EnableIPv4")
    enable_ipv6: bool | None = field(default=None, name="EnableIPv6")
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class Network(Object, frozen=True, kw_only=True):
    """`ipam` is complete: what the user gave with what the allocator chose. `vni`: the VXLAN id of an overlay network."""

    spec: NetworkSpec
    ipam: IPAM = field(default_factory=IPAM, name="IPAM")
    vni: int = 0
    pending_delete: bool = False


class PeerInfo(Spec, frozen=True, kw_only=True):
    name: str = ""
    ip: str = ""


class EndpointResource(EngineSpec, frozen=True, kw_only=True):
    """A container on a network, as GET /networks/{id} lists it."""

    name: str = ""
    endpoint_id: str = ""
    mac_address: str = ""
    ipv4_address: str = field(default="", name="IPv4Address")
    ipv6_address: str = field(default="", name="IPv6Address")


class NetworkInspect(EngineSpec, frozen=True, kw_only=True):
    """The answer of GET /networks and GET /networks/{id}."""

    name: str
    id: str = field(name="Id")
    created: datetime = EPOCH
    scope: str = "local"
    driver: str = "bridge"
    enable_ipv4: bool = field(default=True, name="EnableIPv4")
    enable_ipv6: bool = field(default=False, name="EnableIPv6")
    ipam: IPAM = field(default_factory=IPAM, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_from: dict[str, str] = field(default_factory=lambda: {"Network": ""})
    config_only: bool = False
    containers: dict[str, EndpointResource] = {}
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    peers: list[PeerInfo] | None = None
    services: dict[str, Any] | None = None
