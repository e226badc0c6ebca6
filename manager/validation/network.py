"""An overlay network's spec: names, subnets, options."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from common.errors import Conflict, Forbidden, InvalidArgument, Unsupported
from common.ids import check_name
from common.model import IPAMPool, Network, NetworkSpec
from manager.allocator.networks import VNI_OPTION, subnets
from manager.store.base import View
from manager.validation.names import check_labels

OPTIONS = (VNI_OPTION, "com.docker.network.driver.mtu", "encrypted")


def check_network(view: View, spec: NetworkSpec) -> None:
    """Raises InvalidArgument, Conflict (a subnet overlaps, a VXLAN id is taken), Forbidden (a second ingress network)."""
    check_name("network", spec.name)
    check_labels(spec.labels)
    if spec.driver != "overlay":
        raise InvalidArgument(f"networks of driver {spec.driver!r} are not of the cluster: use overlay")
    if spec.config_only or spec.config_from:
        raise Unsupported("configuration-only networks are not supported for overlay networks")
    if spec.ingress and any(network.spec.ingress for network in view.all(Network)):
        raise Forbidden("the cluster has an ingress network already: remove it first")
    if spec.ingress and (spec.attachable or spec.internal):
        raise InvalidArgument("the ingress network cannot be attachable or internal")
    _check_options(spec.options)
    _check_vni(view, spec.options)
    if spec.ipam is not None and spec.ipam.driver not in ("", "default"):
        raise Unsupported(f"IPAM driver {spec.ipam.driver!r} is not supported: use default")
    taken = list(subnets(view))
    for pool in spec.ipam.config if spec.ipam else ():
        if pool.subnet:
            taken.append(_check_pool(pool, taken))
        elif pool.gateway or pool.ip_range or pool.auxiliary_addresses:
            raise InvalidArgument("invalid IPAM configuration: a subnet is needed beside a gateway, range or address")


def _check_options(options: dict[str, str]) -> None:
    for name in options:
        if name not in OPTIONS:
            raise Unsupported(f"unknown option {name!r} of an overlay network: known are {', '.join(OPTIONS)}")


def _check_vni(view: View, options: dict[str, str]) -> None:
    vni = options.get(VNI_OPTION, "")
    if not vni:
        return
    if not vni.isdecimal() or not 0 < int(vni) < 1 << 24:
        raise InvalidArgument(f"invalid VXLAN id {vni!r}: a number from 1 to {(1 << 24) - 1} is needed")
    if other := next((network for network in view.all(Network) if network.vni == int(vni)), None):
        raise Conflict(f"VXLAN id {vni} is that of network {other.spec.name}: choose another one, or none")


def _check_pool(pool: IPAMPool, taken: list[IPv4Network | IPv6Network]) -> IPv4Network | IPv6Network:
    subnet = _network(pool.subnet)
    if subnet.num_addresses < 4:
        raise InvalidArgument(f"invalid subnet {pool.subnet}: it is too small for a network")
    for other in taken:
        if subnet.overlaps(other):
            raise Conflict(
                f"invalid subnet {pool.subnet}: Pool overlaps with other one on this address space ({other})"
            )
    if pool.ip_range and not _inside(_network(pool.ip_range), subnet):
        raise InvalidArgument(f"invalid range {pool.ip_range}: it is not inside of subnet {pool.subnet}")
    for address in filter(None, (pool.gateway, *pool.auxiliary_addresses.values())):
        try:
            inside = ip_address(address) in subnet
        except ValueError:
            inside = False
        if not inside:
            raise InvalidArgument(f"invalid address {address}: it is not inside of subnet {pool.subnet}")
    return subnet


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid subnet {text!r}: {error}") from None


def _inside(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    return inner.version == outer.version and inner[0] in outer and inner[-1] in outer
