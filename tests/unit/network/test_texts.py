"""Texts for nft and for containers' files, and the reading of options."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument, NotAcceptable, NotFound, Unsupported
from common.model import Network, NetworkSpec
from common.model.service import PortConfig
from common.wire import Backend, ServiceEndpoint
from worker.network import balance, cluster, files, options
from worker.network.balance import Mesh, port_front, vip_front
from worker.network.base import PortMapping
from worker.network.files import Resolver
from worker.network.publishing import bindings, publications

HOST = Resolver(("127.0.0.53", "192.0.2.1"), ("example.test",), ("edns0",))


def network(**given: str) -> Network:
    return Network(id="0123456789abcdef", spec=NetworkSpec(name="net", options=given))


def test_bridge_options() -> None:
    made = options.bridge_options(network())
    assert (made.interface, made.mtu, made.icc, made.masquerade) == ("br-0123456789ab", 1500, True, True)
    made = options.bridge_options(network(**{options.BRIDGE_NAME: "lan0", options.ICC: "false", options.MTU: "9000"}))
    assert (made.interface, made.mtu, made.icc) == ("lan0", 9000, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (options.MTU, "9"), (options.MTU, "many"), (options.ICC, "perhaps"), (options.BRIDGE_NAME, "far-too-long-a-name"),
        (options.BRIDGE_NAME, "a/b"), (options.HOST_BINDING, "::1"), (options.PREFIX, "../../x"),
    ],
)  # fmt: skip
def test_bad_values_of_options(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument):
        options.bridge_options(network(**{name: value}))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(Unsupported, match="'parent' is not supported"):
        options.bridge_options(network(parent="eth0"))


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (NetworkSpec(name="a b"), InvalidArgument),
        (NetworkSpec(name="a", driver="macvlan"), NotFound),
        (NetworkSpec(name="a", driver="overlay"), NotAcceptable),
        (NetworkSpec(name="a", scope="global"), InvalidArgument),
        (NetworkSpec(name="a", config_only=True), Unsupported),
        (NetworkSpec(name="a", config_from={"Network": "b"}), Unsupported),
        (NetworkSpec(name="a", ingress=True), InvalidArgument),
    ],
)
def test_specs_that_are_refused(spec: NetworkSpec, error: type[Exception]) -> None:
    with pytest.raises(error):
        options.check_spec(spec)


def test_ip_versions() -> None:
    assert options.versions(NetworkSpec(name="a")) == {4}
    assert options.versions(NetworkSpec(name="a", enable_ipv4=False, enable_ipv6=True)) == {6}
    with pytest.raises(InvalidArgument):
        options.versions(NetworkSpec(name="a", enable_ipv4=False))


@pytest.mark.parametrize(
    "text", ["net.ipv4.conf.eth0.x=1", "kernel.x=1", "net.ipv4.conf.IFNAME.x", "net.a/b.conf.IFNAME.x=1"]
)
def test_bad_endpoint_sysctls(text: str) -> None:
    with pytest.raises(InvalidArgument, match="endpoint sysctl"):
        options.endpoint_options({options.SYSCTLS: text})


def test_resolv_conf_with_and_without_names() -> None:
    assert files.resolv_conf(files.plain(HOST)) == "nameserver 192.0.2.1\nsearch example.test\noptions edns0\n"
    expected = "nameserver 127.0.0.11\nsearch example.test\noptions edns0 ndots:0\n"
    assert files.resolv_conf(files.embedded(HOST)) == expected
    assert "ndots:0" not in files.resolv_conf(files.embedded(Resolver(options=("ndots:3",))))


def test_what_a_container_asks_for_replaces_the_hosts() -> None:
    merged = files.merged(HOST, dns=["192.0.2.9"], search=["."], options=["rotate"])
    assert merged == Resolver(("192.0.2.9",), (), ("rotate",))
    assert files.merged(HOST, dns=[], search=[], options=[]) == HOST


def test_reading_resolv_conf() -> None:
    text = "# c\nnameserver 192.0.2.1 # x\nsearch a b\noptions x y\noptions z\nnameserver\n"
    assert files.parse_resolv_conf(text) == Resolver(("192.0.2.1",), ("a", "b"), ("x", "y", "z"))


@pytest.mark.parametrize("text", ["db", "db:", ":192.0.2.1", "d b:192.0.2.1", "db:name", "db\n:192.0.2.1"])
def test_bad_extra_hosts(text: str) -> None:
    with pytest.raises(InvalidArgument, match="bad format for add-host"):
        files.extra_host(text)


def test_extra_hosts() -> None:
    assert files.extra_host("six:[2001:db8::1]") == ("six", "2001:db8::1")
    assert files.extra_host("six=2001:db8::1") == ("six", "2001:db8::1")


def test_publications_choose_by_ip_version() -> None:
    ports = [
        PortMapping(protocol="tcp", container_port=80, host_port=8080),
        PortMapping(protocol="tcp", container_port=80, host_port=8081, host_ip="0.0.0.0"),
        PortMapping(protocol="udp", container_port=53, host_port=53, host_ip="2001:db8::1"),
    ]
    four = publications(ports, {4: "10.0.0.2"})
    assert [(p.host_port, p.host_ip, p.version) for p in four] == [(8080, "", 4), (8081, "", 4)]
    both = publications(ports, {4: "10.0.0.2", 6: "fd00::2"})
    assert [(p.host_port, p.version) for p in both] == [(8080, 4), (8080, 6), (8081, 4), (53, 6)]
    shown = bindings(ports, {4: "10.0.0.2"})
    assert [(b.host_ip, b.host_port) for b in shown["80/tcp"] or []] == [("0.0.0.0", "8080"), ("0.0.0.0", "8081")]
    assert shown["53/udp"] is None


def test_only_what_changed_is_programmed() -> None:
    web, db = port_front("tcp", 80), vip_front("10.0.0.2")
    before = {web: ("10.0.0.5 . 80",), db: ("10.0.0.6",)}
    assert balance.changes("t", before, dict(before)) == ""
    script = balance.changes("t", before, {web: ("10.0.0.5 . 80", "10.0.0.7 . 80"), db: ("10.0.0.6",)})
    assert script.splitlines() == [
        "add chain inet t p_tcp_80",
        "flush chain inet t p_tcp_80",
        "add rule inet t p_tcp_80 meta nfproto ipv4 meta l4proto tcp "
        "dnat ip to numgen inc mod 2 map { 0 : 10.0.0.5 . 80, 1 : 10.0.0.7 . 80 }",
    ]
    assert balance.gone(before, {web: ("10.0.0.9 . 80",)}) == {"10.0.0.5", "10.0.0.6"}


def test_fronts_without_backends() -> None:
    vip, port = vip_front("10.0.0.2"), port_front("udp", 53)
    emptied = balance.changes("t", {vip: ("10.0.0.6",)}, {vip: ()})
    assert "add element inet t dead4 { 10.0.0.2 }" in emptied
    assert "delete element inet t vips4 { 10.0.0.2 }" in emptied
    assert balance.changes("t", {vip: ()}, {}) == "delete element inet t dead4 { 10.0.0.2 }\n"
    assert balance.changes("t", {}, {port: ()}) == ""


def test_ports_of_services() -> None:
    ports = [
        PortConfig(target_port=80, published_port=8080),
        PortConfig(target_port=81, published_port=8081, publish_mode="host"),
    ]
    backends = [Backend(task_id="a", address="10.0.0.6"), Backend(task_id="b", address="10.0.0.5", ready=True),
                Backend(task_id="c", address="10.0.0.7", ready=False)]  # fmt: skip
    whole = ServiceEndpoint(service_id="s", service_name="s", network_id="n", ports=ports, backends=backends)
    everywhere = Mesh(interface="br-x", own=("10.0.0.2",))
    assert cluster.published_ports([whole], everywhere) == {port_front("tcp", 8080): ("10.0.0.5 . 80", "10.0.0.6 . 80")}
    here = Mesh(tasks=frozenset({"10.0.0.5"}))
    assert cluster.published_ports([whole], here) == {port_front("tcp", 8080): ("10.0.0.5 . 80",)}
    assert cluster.vips_by_network([whole]) == {}
