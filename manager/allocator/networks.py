"""What an overlay network needs: subnets out of the cluster's address pool, gateways, a VXLAN id."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from msgspec.structs import replace

from common.model import IPAM, Cluster, IPAMPool, Network
from manager.allocator.addresses import Subnet
from manager.store.base import View

FIRST_VNI = 4096
IPV6_POOL = "fd5a:6f61:6c01::/48"
VNI_OPTION = "com.docker.network.driver.overlay.vxlanid_list"


def allocated(network: Network) -> bool:
    return network.spec.driver != "overlay" or bool(network.vni)


def complete(view: View, network: Network) -> Network | None:
    """`network` with all that it needs; None where the address pool is exhausted."""
    used = list(subnets(view, network.id))
    wanted = list(network.spec.ipam.config) if network.spec.ipam else []
    versions = {ip_network(pool.subnet).version for pool in wanted if pool.subnet}
    if 4 not in versions and network.spec.enable_ipv4 is not False:
        wanted.insert(0, IPAMPool(subnet=_free(_pools(view), used)))
    if 6 not in versions and network.spec.enable_ipv6:
        wanted.append(IPAMPool(subnet=_free([(IPV6_POOL, 64)], used)))
    if not all(pool.subnet for pool in wanted):
        return None
    given = network.spec.ipam or IPAM()
    return replace(network, vni=_vni(view, network), ipam=replace(given, config=[*map(_with_gateway, wanted)]))


def subnets(view: View, but: str = "") -> Iterator[Subnet]:
    """All subnets of the cluster's networks, given or allocated, without those of network `but`."""
    for network in view.all(Network):
        pools = network.ipam.config or (network.spec.ipam.config if network.spec.ipam else [])
        if network.id != but and network.spec.driver == "overlay":
            yield from (ip_network(pool.subnet) for pool in pools if pool.subnet)


def _pools(view: View) -> list[tuple[str, int]]:
    cluster = next(iter(view.all(Cluster)), Cluster(id=""))
    return [(pool, cluster.subnet_size) for pool in cluster.default_addr_pool]


def _free(pools: list[tuple[str, int]], used: list[Subnet]) -> str:
    """The first subnet of the pools that overlaps with none in `used`; "" where there is none."""
    for pool, size in pools:
        network = ip_network(pool)
        step = 1 << (network.max_prefixlen - size)
        start, end = int(network.network_address), int(network.broadcast_address)
        inside = sorted(
            (int(s.network_address), int(s.broadcast_address)) for s in used if s.version == network.version
        )
        for low, high in inside:
            if low < start + step and high >= start:
                start += (high - start) // step * step + step
        if start + step - 1 <= end:
            return str(ip_network((start, size)))
    return ""


def _with_gateway(pool: IPAMPool) -> IPAMPool:
    if pool.gateway:
        return pool
    taken = set(pool.auxiliary_addresses.values())
    hosts = ip_network(pool.ip_range or pool.subnet).hosts()
    return replace(pool, gateway=next(str(host) for host in hosts if str(host) not in taken))


def _vni(view: View, network: Network) -> int:
    wanted = network.spec.options.get(VNI_OPTION, "").split(",")[0]
    if wanted:
        return int(wanted)
    used = {other.vni for other in view.all(Network)}
    return next(vni for vni in range(FIRST_VNI, FIRST_VNI + len(used) + 1) if vni not in used)
