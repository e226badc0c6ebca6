"""Address management: choosing subnets for networks and addresses for endpoints. Pure: no I/O, state in memory.

What is taken is told by the callers (networks and endpoints on disk, the host's routes); nothing is kept here twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from common.errors import Forbidden, InvalidArgument, Unavailable, Unsupported
from common.model import IPAM, IPAMPool
from worker.network.rtnl import Address, Interface, Subnet

OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"


class Pool:
    """The addresses of one subnet. Gives the lowest free one, or the one asked for."""

    def __init__(self, config: IPAMPool) -> None:
        """`config` is complete and checked by `complete()`."""
        self.subnet = ip_network(config.subnet)
        self.gateway = ip_address(config.gateway) if config.gateway else None
        self._range = ip_network(config.ip_range) if config.ip_range else self.subnet
        self._taken = {int(ip_address(text)) for text in config.auxiliary_addresses.values()}
        if self.gateway:
            self._taken.add(int(self.gateway))
        self._taken.update(_unusable(self.subnet))
        self._next = int(self._range.network_address)

    def take(self) -> Interface | None:
        """The lowest free address of the range, None where there is none."""
        last = int(self._range.broadcast_address)
        while self._next in self._taken:
            self._next += 1
        if self._next > last:
            return None
        return self._mark(self._next)

    def take_this(self, address: Address) -> Interface:
        """Raises Forbidden where the address is taken. It may lie outside the range, but not outside the subnet."""
        if int(address) in self._taken:
            raise Forbidden(f"Address already in use: {address}")
        return self._mark(int(address))

    def give(self, address: Address) -> None:
        self._taken.discard(int(address))
        if int(self._range.network_address) <= int(address) < self._next:
            self._next = int(address)

    def _mark(self, number: int) -> Interface:
        self._taken.add(number)
        address = ip_address(number) if self.subnet.version == 4 else ip_address(number.to_bytes(16, "big"))
        return ip_interface((address, self.subnet.prefixlen))


class Pools:
    """All subnets of one network."""

    def __init__(self, ipam: IPAM) -> None:
        self._pools = [Pool(config) for config in ipam.config]

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools)

    def versions(self) -> set[int]:
        return {pool.subnet.version for pool in self._pools}

    def take(self, version: int, network: str) -> tuple[Interface, Address | None]:
        """The lowest free address and its subnet's gateway. Raises Unavailable where all are taken."""
        for pool in self._pools:
            if pool.subnet.version == version and (address := pool.take()):
                return address, pool.gateway
        raise Unavailable(
            f"no available IPv{version} addresses on this network's address pools: {network}", ("network", network)
        )

    def take_this(self, address: Address) -> tuple[Interface, Address | None]:
        pool = self._of(address)
        if pool is None:
            raise InvalidArgument(f"invalid address {address}: It does not belong to any of this network's subnets")
        return pool.take_this(address), pool.gateway

    def give(self, address: Address) -> None:
        pool = self._of(address)
        if pool:
            pool.give(address)

    def _of(self, address: Address) -> Pool | None:
        return next((pool for pool in self._pools if address in pool.subnet), None)


def _unusable(subnet: Subnet) -> Iterator[int]:
    """The network's own address and IPv4's broadcast address; /31 and /32 (/127, /128) have neither (RFC 3021)."""
    if subnet.prefixlen < subnet.max_prefixlen - 1:
        yield int(subnet.network_address)
        if subnet.version == 4:
            yield int(subnet.broadcast_address)


def complete(
    wanted: IPAM | None,
    versions: Collection[int],
    *,
    pools: Sequence[str],
    taken: Iterable[Subnet],
    routed: Iterable[Subnet],
) -> IPAM:
    """What the user asked for, checked, with a subnet per IP version and a gateway each.

    `pools` are "base:prefix length" texts, `taken` other networks' subnets, `routed` the host's routes, which only
    automatic choices avoid. Raises InvalidArgument, Forbidden (overlap), Unavailable (pools are used up).
    """
    wanted = wanted or IPAM()
    if wanted.driver not in ("", "default"):
        raise Unsupported(f"IPAM driver {wanted.driver!r} is not supported: only 'default' is")
    if wanted.options:
        raise Unsupported(f"IPAM option {next(iter(wanted.options))!r} is not supported")
    others = list(taken)
    chosen: list[IPAMPool] = []
    for config in wanted.config:
        if not config.subnet:
            continue
        checked = _checked(config)
        subnet = ip_network(checked.subnet)
        if _overlaps(subnet, others):
            raise Forbidden(OVERLAP, ("subnet", checked.subnet))
        others.append(subnet)
        chosen.append(checked)
    _refuse_without_subnet(wanted.config)
    _refuse_other_versions(chosen, versions)
    busy = [*others, *routed]
    for version in sorted(set(versions) - {ip_network(c.subnet).version for c in chosen}):
        subnet = choose(pools, version, busy)
        busy.append(subnet)
        chosen.append(_checked(IPAMPool(subnet=str(subnet))))
    return IPAM(driver="default", options=wanted.options, config=chosen)


def choose(pools: Sequence[str], version: int, busy: Sequence[Subnet]) -> Subnet:
    """The first subnet of the pools that overlaps nothing in `busy`."""
    for text in pools:
        base, length = parse_pool(text)
        if base.version != version:
            continue
        for subnet in _subnets(text, base, length):
            if not _overlaps(subnet, busy):
                return subnet
    raise Unavailable(
        f"all predefined IPv{version} address pools have been fully subnetted: give a subnet, "
        "or add address pools to the daemon's settings"
    )


def parse_pool(text: str) -> tuple[Subnet, int]:
    """ "172.17.0.0/12:16" → (172.16.0.0/12, 16). Raises InvalidArgument."""
    try:
        base_text, _, length_text = text.rpartition(":")
        base, length = ip_network(base_text, strict=False), int(length_text)
    except ValueError:
        raise InvalidArgument(f"invalid address pool {text!r}: write it as 10.0.0.0/8:24") from None
    if not base.prefixlen <= length <= base.max_prefixlen:
        raise InvalidArgument(f"invalid address pool {text!r}: /{length} subnets do not fit into {base}")
    return base, length


def _subnets(text: str, base: Subnet, length: int) -> Iterator[Subnet]:
    """The subnets of a pool from the address it was written with (172.17.0.0/12 starts at 172.17), at most 4,096."""
    first = ip_interface(text.rpartition(":")[0]).ip
    step = 1 << (base.max_prefixlen - length)
    start, end = int(first) // step * step, int(base.broadcast_address)
    kind = IPv4Network if base.version == 4 else IPv6Network
    for number in range(start, min(end, start + step * 4096), step):
        yield kind((number, length))


def _overlaps(subnet: Subnet, others: Iterable[Subnet]) -> bool:
    return any(subnet.version == other.version and subnet.overlaps(other) for other in others)


def _checked(config: IPAMPool) -> IPAMPool:
    """`config` in canonical spelling with a gateway, the first address where none is given."""
    subnet = _network("subnet", config.subnet)
    inside = _network("ip-range", config.ip_range) if config.ip_range else None
    if inside and (inside.version != subnet.version or not inside.subnet_of(subnet)):  # type: ignore[arg-type]
        raise InvalidArgument(f"invalid network config: ip-range {inside} is not inside the subnet {subnet}")
    auxiliary = {name: _inside("aux-address", text, subnet) for name, text in config.auxiliary_addresses.items()}
    if config.gateway:
        gateway = _inside("gateway", config.gateway, subnet)
    else:
        gateway = _first_free(subnet, {ip_address(text) for text in auxiliary.values()})
    if gateway in auxiliary.values():
        raise InvalidArgument(f"invalid network config: the gateway {gateway} is also an aux-address")
    return IPAMPool(subnet=str(subnet), ip_range=str(inside or ""), gateway=gateway, auxiliary_addresses=auxiliary)


def _network(what: str, text: str) -> Subnet:
    try:
        interface = ip_interface(text)
    except ValueError:
        raise InvalidArgument(f"invalid network config: invalid {what} {text!r}: not in CIDR form") from None
    if interface.ip != interface.network.network_address:
        raise InvalidArgument(f"invalid network config: invalid {what} {text}: it should be {interface.network}")
    return interface.network


def _inside(what: str, text: str, subnet: Subnet) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidArgument(f"invalid network config: invalid {what} {text!r}: not an IP address") from None
    if address not in subnet:
        raise InvalidArgument(f"invalid network config: no matching subnet for {what} {text}")
    return str(address)


def _first_free(subnet: Subnet, taken: Collection[Address]) -> str:
    unusable = set(_unusable(subnet))
    for number in range(int(subnet.network_address), int(subnet.broadcast_address) + 1):
        address = subnet[number - int(subnet.network_address)]
        if number not in unusable and address not in taken:
            return str(address)
    raise InvalidArgument(f"invalid network config: the subnet {subnet} has no free address for a gateway")


def _refuse_without_subnet(configs: Iterable[IPAMPool]) -> None:
    for config in configs:
        if not config.subnet and (config.gateway or config.ip_range or config.auxiliary_addresses):
            raise InvalidArgument("invalid network config: a gateway, ip-range or aux-address needs a subnet")


def _refuse_other_versions(configs: Iterable[IPAMPool], versions: Collection[int]) -> None:
    for config in configs:
        version = ip_network(config.subnet).version
        if version not in versions:
            raise InvalidArgument(
                f"invalid network config: IPv{version} is not enabled, but the subnet {config.subnet} is"
            )


def overlap_of(subnets: Iterable[Subnet], others: Iterable[Subnet]) -> Subnet | None:
    """The first of `subnets` that overlaps one of `others`."""
    known = list(others)
    return next((subnet for subnet in subnets if _overlaps(subnet, known)), None)


def mac_of(address: Address) -> str:
    """A MAC that follows from the address, so that a moved address keeps its neighbours' entries true."""
    return "02:42:" + address.packed[-4:].hex(":")
