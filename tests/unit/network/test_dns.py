from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire import Backend, ServiceEndpoint
from worker.network import dns_wire
from worker.network.dns_names import NameTable, Zone
from worker.network.dns_wire import AAAA, FORMERR, NOTIMP, PTR, A, Malformed, Query
from worker.network.records import Endpoint

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)


def query(name: str, kind: int = A, *, tail: bytes = b"", extra: int = 0, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split(".") if part)
    return struct.pack(">6H", 7, flags, 1, 0, 0, extra) + labels + b"\0" + struct.pack(">HH", kind, 1) + tail


@given(st.lists(LABEL, min_size=1, max_size=3), st.sampled_from([A, AAAA, PTR, 65]))
def test_questions_are_read_back(labels: list[str], kind: int) -> None:
    parsed = dns_wire.parse_query(query(".".join(labels), kind))
    assert (parsed.id, parsed.name, parsed.kind) == (7, ".".join(labels), kind)


def respond(data: bytes) -> bytes:
    try:
        return dns_wire.answer(dns_wire.parse_query(data), [], ttl=1, udp=True)
    except Malformed as error:
        return error.answer


@given(st.binary(max_size=600))
def test_any_bytes_are_answered_or_passed_over(data: bytes) -> None:
    assert respond(data)[:2] in (b"", data[:2])


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_matching_never_fails(asked: bytes, answered: bytes) -> None:
    assert dns_wire.matches(query("a.b") + asked, query("a.b")[:2] + answered) in (True, False)


def test_an_answer_is_never_answered() -> None:
    with pytest.raises(Malformed) as caught:
        dns_wire.parse_query(query("a", flags=0x8180))
    assert caught.value.answer == b""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (query("a", flags=0x2800), NOTIMP),
        (query("a")[:-3], FORMERR),
        (struct.pack(">6H", 7, 0, 2, 0, 0, 0), FORMERR),
        (struct.pack(">6H", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", FORMERR),
        (query("a")[:-2] + b"\0\3", NOTIMP),
        (query(".".join(["x" * 60] * 5)), FORMERR),
    ],
)
def test_what_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(Malformed) as caught:
        dns_wire.parse_query(data)
    assert caught.value.answer[3] & 15 == code


def test_a_dot_inside_a_label_is_not_two_labels() -> None:
    data = struct.pack(">6H", 7, 0, 1, 0, 0, 0) + b"\x03a.b\0\0\1\0\1"
    assert dns_wire.parse_query(data).name == "a\\.b"


def test_answers_fit_their_datagram_and_say_when_cut() -> None:
    plain = dns_wire.parse_query(query("many"))
    edns = dns_wire.parse_query(query("many", tail=b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0), extra=1))
    records = [dns_wire.address_record(ip_address("10.0.0.1"))] * 60
    for asked, limit in ((plain, 512), (edns, 1232)):
        answer = dns_wire.answer(asked, records, ttl=1, udp=True)
        assert len(answer) <= limit
        assert bool(answer[2] & 2) == (limit == 512)
    assert not dns_wire.answer(plain, records, ttl=1, udp=False)[2] & 2
    assert edns.limit == 1232


@pytest.mark.parametrize("address", ["172.17.0.2", "fd00::12:3"])
def test_reverse_names(address: str) -> None:
    assert dns_wire.reverse_address(ip_address(address).reverse_pointer) == ip_address(address)


@pytest.mark.parametrize("name", ["x.in-addr.arpa", "1.2.3.in-addr.arpa", "999.1.1.1.in-addr.arpa", "web", "ip6.arpa"])
def test_other_names_are_no_reverse_names(name: str) -> None:
    assert dns_wire.reverse_address(name) is None


def test_matching_guards_against_strangers() -> None:
    asked = query("a.test")
    good = dns_wire.answer(dns_wire.parse_query(asked), [], ttl=1, udp=True)
    assert dns_wire.matches(asked, good)
    assert not dns_wire.matches(asked, b"\0\0" + good[2:])
    assert not dns_wire.matches(asked, asked), "a question is no answer"
    other = dns_wire.answer(dns_wire.parse_query(query("b.test")), [], ttl=1, udp=True)
    assert not dns_wire.matches(asked, other)


def test_name_records_fit() -> None:
    assert dns_wire.name_record("a.net") == (PTR, b"\x01a\x03net\0")
    assert len(dns_wire.name_record("x" * 300)[1]) == 65


NET, OTHER = Zone("n1", "net"), Zone("n2", "other")


def endpoint(address: str, *names: str, network: str = "n1") -> Endpoint:
    return Endpoint(
        network_id=network, endpoint_id="e", interface="eth0", host_interface="v", mac="", ipv4=address,
        dns_names=list(names),
    )  # fmt: skip


def test_names_come_and_go() -> None:
    table = NameTable()
    one, two = endpoint("10.0.0.2/24", "one", "shared"), endpoint("10.0.0.3/24", "two", "shared")
    table.add("c1", one)
    table.add("c2", two)
    assert table.resolve("shared", [NET]) == [ip_address("10.0.0.2"), ip_address("10.0.0.3")]
    assert table.resolve("one.net", [NET]) == [ip_address("10.0.0.2")]
    assert table.resolve("one.other", [NET, OTHER]) is None
    assert table.resolve("one", [OTHER]) is None
    assert table.reverse(ip_address("10.0.0.3"), [NET]) == "two.net"
    table.remove("c1", one)
    table.remove("c1", one)
    assert table.resolve("shared", [NET]) == [ip_address("10.0.0.3")]
    assert table.resolve("one", [NET]) is None
    assert table.reverse(ip_address("10.0.0.2"), [NET]) is None


def test_service_names() -> None:
    table = NameTable()
    backends = [
        Backend(task_id="t1", slot=1, container_name="web.1.t1", address="10.0.0.5", aliases=["first"]),
        Backend(task_id="t2", slot=2, address="10.0.0.6", ready=False),
    ]
    whole = ServiceEndpoint(
        service_id="s", service_name="Web", network_id="n1", vip="10.0.0.2", aliases=["www"], backends=backends
    )
    table.set_services([whole])
    expected = {
        "web": "10.0.0.2", "www": "10.0.0.2", "tasks.web": "10.0.0.5", "1.web": "10.0.0.5", "web.1.t1": "10.0.0.5",
        "first": "10.0.0.5",
    }  # fmt: skip
    for name, address in expected.items():
        assert table.resolve(name, [NET]) == [ip_address(address)], name
    assert table.resolve("2.web", [NET]) is None
    table.set_services([])
    assert table.resolve("web", [NET]) is None


def test_a_service_without_ready_tasks_is_known_but_empty() -> None:
    table = NameTable()
    table.set_services([ServiceEndpoint(service_id="s", service_name="web", network_id="n1")])
    assert table.resolve("web", [NET]) == []


def test_query_defaults() -> None:
    assert Query(1, 0, "a", A, b"").limit == dns_wire.UDP_LIMIT
