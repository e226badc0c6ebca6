"""What --listen-addr, --advertise-addr and --data-path-addr mean on a machine."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from common.errors import InvalidArgument
from worker.membership.addresses import CHOSEN, OWN, Place, place, split

ONE = {"eth0": [ip_address("192.0.2.7"), ip_address("2001:db8::7")]}
TWO = {**ONE, "eth1": [ip_address("198.51.100.7")]}


def test_the_only_address_is_advertised_and_all_are_listened_on() -> None:
    assert place("", "", "", ONE) == Place("0.0.0.0:2377", "192.0.2.7:2377", "", CHOSEN)


def test_the_best_address_is_chosen_where_nothing_is_told() -> None:
    assert place("0.0.0.0:4000", "", "", TWO, best="198.51.100.7").advertise == "198.51.100.7:4000"
    assert place("eth0:4000", "", "", TWO, best="198.51.100.7").advertise == "192.0.2.7:4000"
    assert place("", "192.0.2.7", "", TWO, best="198.51.100.7").advertise == "192.0.2.7:2377"
    assert place("[::]:4000", "", "", TWO, best="2001:db8::7").advertise == "[2001:db8::7]:4000"


@pytest.mark.parametrize(
    ("listen", "advertise", "data_path", "expected"),
    [
        ("0.0.0.0:4000", "", "", Place("0.0.0.0:4000", "192.0.2.7:4000", "", CHOSEN)),
        ("", "198.51.100.9", "", Place("0.0.0.0:2377", "198.51.100.9:2377", "")),
        ("eth0:4000", "", "", Place("192.0.2.7:4000", "192.0.2.7:4000", "", OWN)),
        ("[::]:2377", "[2001:db8::7]:5000", "", Place("[::]:2377", "[2001:db8::7]:5000", "", OWN)),
        ("0.0.0.0", "eth0:5000", "eth0", Place("0.0.0.0:2377", "192.0.2.7:5000", "192.0.2.7", OWN)),
        ("", "manager1.example", "", Place("0.0.0.0:2377", "manager1.example:2377", "")),
    ],
)
def test_wishes_are_addresses_or_interfaces(listen: str, advertise: str, data_path: str, expected: Place) -> None:
    assert place(listen, advertise, data_path, ONE) == expected


@pytest.mark.parametrize(
    ("listen", "advertise", "data_path", "interfaces", "sentence"),
    [
        ("", "", "", TWO, r"192.0.2.7 on eth0 and 198.51.100.7 on eth1\) - specify one with --advertise-addr"),
        ("", "", "", {}, "could not find the system's IP address"),
        ("eth9", "", "", ONE, "--listen-addr: 'eth9' is neither an IP address nor an interface"),
        ("", "a:b", "", ONE, "invalid address 'a:b'"),
        ("", "a:99999", "", ONE, "invalid address"),
        ("", "", "eth9", ONE, "--data-path-addr: 'eth9'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    listen: str, advertise: str, data_path: str, interfaces: dict[str, list[object]], sentence: str
) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        place(listen, advertise, data_path, interfaces)


def test_an_address_may_carry_its_port() -> None:
    assert split("[2001:db8::1]:80") == ("2001:db8::1", 80)
    assert split("2001:db8::1") == ("2001:db8::1", 2377)
    assert split("host:1") == ("host", 1)
