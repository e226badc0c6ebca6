"""Entries of tunnels: what follows from peers, which messages bring it about, and that only differences are sent."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from common.wire import Peer
from worker.network import balance, forwarding
from worker.network.balance import Mesh
from worker.network.forwarding import Forwarding
from worker.network.ipam import mac_of
from worker.network.netlink import Message

ONE = Forwarding({"02:42:0a:00:00:05": "192.0.2.1"}, {"10.0.0.5": "02:42:0a:00:00:05"})
NONE = Forwarding()


def peer(*addresses: str, host: str = "192.0.2.1") -> Peer:
    return Peer(network_id="n", node_id="a", host=host, addresses=[*addresses])


def test_mac_addresses_follow_from_the_first_family() -> None:
    assert forwarding.wanted([peer("10.0.0.5")]) == ONE
    both = forwarding.wanted([peer("fd00::1:5", "10.0.0.5")])
    assert both.stations == ONE.stations
    assert both.neighbours == {"10.0.0.5": "02:42:0a:00:00:05", "fd00::1:5": "02:42:0a:00:00:05"}
    assert forwarding.wanted([peer("fd00::1:5")]).stations == {"02:42:00:01:00:05": "192.0.2.1"}
    assert forwarding.wanted([peer()]) == NONE
    for text in ("10.1.2.3", "fd00::1:5"):
        assert list(forwarding.wanted([peer(text)]).stations) == [mac_of(ip_address(text))]


def packed(messages: list[Message]) -> list[str]:
    return [f"{m.kind} {m.flags:x} {m.body.hex(' ', -4)}" for m in messages]


def test_messages_for_a_new_peer() -> None:
    """As `bridge fdb replace MAC dev vx dst HOST self master static` and `ip neigh replace IP lladdr MAC dev vx nud permanent`."""
    assert packed(forwarding.additions(7, NONE, ONE)) == [
        "28 500 07000000 07000000 42000600 0a000200 02420a00 00050000 08000100 c0000201",
        "28 500 02000000 07000000 80000000 08000100 0a000005 0a000200 02420a00 00050000",
    ]


def test_messages_for_a_peer_that_is_gone() -> None:
    assert packed(forwarding.removals(7, ONE, NONE)) == [
        "29 0 07000000 07000000 42000200 0a000200 02420a00 00050000",
        "29 0 07000000 07000000 42000400 0a000200 02420a00 00050000",
        "29 0 02000000 07000000 80000000 08000100 0a000005",
    ]


@pytest.mark.parametrize(
    ("after", "added", "removed"),
    [
        (ONE, 0, 0),
        (forwarding.wanted([peer("10.0.0.5", host="192.0.2.9")]), 1, 0),  # it moved: its neighbour entry stays true
        (forwarding.wanted([peer("10.0.0.5"), peer("10.0.0.6")]), 2, 0),
        (forwarding.wanted([peer("10.0.0.6")]), 2, 3),
        (Forwarding({**ONE.stations}, {}), 0, 1),
    ],
)
def test_only_differences_are_sent(after: Forwarding, added: int, removed: int) -> None:
    assert len(forwarding.additions(7, ONE, after)) == added
    assert len(forwarding.removals(7, ONE, after)) == removed


def test_hosts_over_ipv6() -> None:
    found = forwarding.additions(7, NONE, forwarding.wanted([peer("10.0.0.5", host="2001:db8::1")]))
    assert bytes.fromhex("20010db8000000000000000000000001") in found[0].body


HERE = Mesh(interface="br-x", own=("10.0.0.2",), tasks=frozenset({"10.0.0.5"}))


def test_a_mesh_keeps_the_source_of_what_stays_here() -> None:
    assert balance.mesh_changes("t", Mesh(), HERE) == (
        "add element inet t here4 { 10.0.0.5 }\n"
        "flush chain inet t postrouting\n"
        'add rule inet t postrouting oifname "br-x" ct status dnat ip daddr != @here4 snat ip to 10.0.0.2\n'
    )
    moved = Mesh(interface="br-x", own=("10.0.0.2",), tasks=frozenset({"10.0.0.6"}))
    assert balance.mesh_changes("t", HERE, moved) == (
        "delete element inet t here4 { 10.0.0.5 }\nadd element inet t here4 { 10.0.0.6 }\n"
    )
    assert balance.mesh_changes("t", HERE, HERE) == ""


def test_a_mesh_reaches_other_hosts_by_an_address_of_its_own_only() -> None:
    assert [HERE.reaches(address) for address in ("10.0.0.5", "10.0.0.9", "fd00::9")] == [True, True, False]
    assert [Mesh(tasks=HERE.tasks).reaches(address) for address in ("10.0.0.5", "10.0.0.9")] == [True, False]
