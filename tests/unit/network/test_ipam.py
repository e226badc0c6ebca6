from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Forbidden, InvalidArgument, Unavailable, Unsupported
from common.model.network import IPAM, IPAMPool
from worker.network import ipam
from worker.network.ipam import Pool, Pools, choose, complete, mac_of, overlap_of, parse_pool
from worker.network.rtnl import Address

POOLS = ["172.17.0.0/12:16", "192.168.0.0/16:20", "fd00::/48:64"]


def made(
    *configs: IPAMPool, versions: tuple[int, ...] = (4,), taken: tuple[str, ...] = (), routed: tuple[str, ...] = ()
) -> IPAM:
    return complete(
        IPAM(config=list(configs)),
        versions,
        pools=POOLS,
        taken=[ip_network(text) for text in taken],
        routed=[ip_network(text) for text in routed],
    )


def subnets(result: IPAM) -> list[str]:
    return [config.subnet for config in result.config]


def test_automatic_subnets_start_where_the_pool_was_written() -> None:
    assert subnets(made()) == ["172.17.0.0/16"]
    assert subnets(made(taken=("172.17.0.0/16",), routed=("172.18.5.0/24",))) == ["172.19.0.0/16"]
    assert subnets(made(taken=("172.16.0.0/12",))) == ["192.168.0.0/20"]
    assert subnets(made(versions=(4, 6))) == ["172.17.0.0/16", "fd00::/64"]


def test_used_up_pools() -> None:
    with pytest.raises(Unavailable, match="fully subnetted"):
        made(taken=("172.16.0.0/12", "192.168.0.0/16"))


def test_a_route_does_not_forbid_what_the_user_asks_for() -> None:
    assert subnets(made(IPAMPool(subnet="10.0.0.0/24"), routed=("10.0.0.0/8",))) == ["10.0.0.0/24"]


def test_the_gateway_is_the_first_address_that_is_free() -> None:
    assert made(IPAMPool(subnet="10.0.0.0/24")).config[0].gateway == "10.0.0.1"
    taken = IPAMPool(subnet="10.0.0.0/24", auxiliary_addresses={"router": "10.0.0.1"})
    assert made(taken).config[0].gateway == "10.0.0.2"
    assert made(IPAMPool(subnet="10.0.0.0/31")).config[0].gateway == "10.0.0.0"


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        (IPAMPool(subnet="10.0.0.1/24"), InvalidArgument, "it should be 10.0.0.0/24"),
        (IPAMPool(subnet="nonsense"), InvalidArgument, "not in CIDR form"),
        (IPAMPool(subnet="10.0.0.0/24", gateway="10.0.1.1"), InvalidArgument, "no matching subnet for gateway"),
        (IPAMPool(subnet="10.0.0.0/24", gateway="x"), InvalidArgument, "not an IP address"),
        (IPAMPool(subnet="10.0.0.0/24", ip_range="10.0.1.0/25"), InvalidArgument, "is not inside"),
        (IPAMPool(subnet="10.0.0.0/24", ip_range="fd00::/64"), InvalidArgument, "is not inside"),
        (IPAMPool(subnet="10.0.0.0/24", auxiliary_addresses={"a": "10.9.0.1"}), InvalidArgument, "aux-address"),
        (IPAMPool(gateway="10.0.0.1"), InvalidArgument, "needs a subnet"),
        (IPAMPool(subnet="fd01::/64"), InvalidArgument, "IPv6 is not enabled"),
        (IPAMPool(subnet="10.0.0.0/32", auxiliary_addresses={"a": "10.0.0.0"}), InvalidArgument, "no free address"),
        (
            IPAMPool(subnet="10.0.0.0/24", gateway="10.0.0.9", auxiliary_addresses={"a": "10.0.0.9"}),
            InvalidArgument,
            "also an aux-address",
        ),
        (IPAMPool(subnet="172.30.0.0/16"), Forbidden, "Pool overlaps"),
    ],
)
def test_refusals(config: IPAMPool, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        made(config, taken=("172.30.1.0/24",))


def test_two_subnets_of_one_network_must_not_overlap() -> None:
    with pytest.raises(Forbidden, match="Pool overlaps"):
        made(IPAMPool(subnet="10.0.0.0/16"), IPAMPool(subnet="10.0.1.0/24"))


def test_other_drivers_and_options_are_refused() -> None:
    for wanted in (IPAM(driver="dhcp"), IPAM(options={"a": "b"})):
        with pytest.raises(Unsupported):
            complete(wanted, (4,), pools=POOLS, taken=(), routed=())


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.0.0.0/8:4", "x:24", "10.0.0.0/8:33", "10.0.0.0/8:x"])
def test_bad_pools(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid address pool"):
        parse_pool(text)


def test_range_and_auxiliary_addresses_bound_what_is_given_out() -> None:
    pool = Pool(
        IPAMPool(
            subnet="10.0.0.0/24", ip_range="10.0.0.8/30", gateway="10.0.0.1", auxiliary_addresses={"a": "10.0.0.9"}
        )
    )
    given_out = [str(pool.take()) for _ in range(4)]
    assert given_out == ["10.0.0.8/24", "10.0.0.10/24", "10.0.0.11/24", "None"]
    assert str(pool.take_this(ip_address("10.0.0.77"))) == "10.0.0.77/24"


def test_pools_say_what_is_wrong() -> None:
    pools = Pools(made(IPAMPool(subnet="10.0.0.0/30")))
    assert str(pools.take(4, "net")[0]) == "10.0.0.2/30"
    with pytest.raises(Unavailable, match="no available IPv4 addresses on this network's address pools: net"):
        pools.take(4, "net")
    with pytest.raises(Forbidden, match="Address already in use"):
        pools.take_this(ip_address("10.0.0.1"))
    with pytest.raises(InvalidArgument, match="does not belong"):
        pools.take_this(ip_address("10.0.0.9"))


@given(st.integers(24, 32), st.lists(st.tuples(st.booleans(), st.integers(0, 255)), max_size=300))
def test_no_address_is_given_twice(length: int, steps: list[tuple[bool, int]]) -> None:
    """Against a model: a set of what is out."""
    pool = Pool(made(IPAMPool(subnet=f"10.0.0.0/{length}", gateway="10.0.0.0" if length == 32 else "")).config[0])
    usable = {a for a in pool.subnet if length > 30 or a not in (pool.subnet[0], pool.subnet[-1])} - {pool.gateway}
    out: set[Address] = set()
    for take, number in steps:
        if take:
            address = pool.take()
            assert (address is None) == (out == usable)
            if address:
                assert address.ip == min(usable - out)
                out.add(address.ip)
        elif out:
            back = sorted(out)[number % len(out)]
            pool.give(back)
            out.discard(back)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 30)), max_size=8), st.integers(0, 2**32 - 1))
def test_a_chosen_subnet_overlaps_nothing(busy: list[tuple[int, int]], base: int) -> None:
    taken = [ip_network((number, length), strict=False) for number, length in busy]
    pool = f"{ip_network((base, 16), strict=False)}:24"
    try:
        chosen = choose([pool], 4, taken)
    except Unavailable:
        return
    assert overlap_of([chosen], taken) is None
    assert chosen.subnet_of(parse_pool(pool)[0])  # type: ignore[arg-type]


def test_macs_follow_addresses() -> None:
    assert mac_of(ip_address("172.17.0.2")) == "02:42:ac:11:00:02"
    assert mac_of(ip_address("fd00::a:b")) == "02:42:00:0a:00:0b"


def test_overlap_of_different_versions() -> None:
    assert ipam.overlap_of([ip_network("fd00::/64")], [ip_network("10.0.0.0/8")]) is None
