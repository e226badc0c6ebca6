"""Bridge networks: who reaches whom, and published ports from everywhere."""

from __future__ import annotations

import socket

import pytest

from common.errors import InvalidArgument, ShoalError, Unsupported
from common.model import NetworkSpec
from tests.harness import sctp
from tests.harness.netns import call, cannot_call, greeter, in_namespace, socket_in, within
from tests.harness.networks import address, address6, subnet, tcp, world
from worker.network.base import PortMapping


async def test_containers_reach_each_other_the_host_and_the_outside() -> None:
    async with world() as here:
        one, two = await here.open("one"), await here.open("two")
        gateway = one.endpoints["bridge"].gateway
        async with greeter(two.path, "two"), greeter(here.host.inside, "host"), greeter(here.host.outside, "out"):
            assert await call(one.path, address(two)) == ("two", address(one))
            assert await call(one.path, gateway) == ("host", address(one))
            assert await call(one.path, here.host.outside_address) == ("out", here.host.address)


async def test_a_published_port_answers_from_everywhere() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="other"))
        web = await here.open("web", ports=[tcp(80, 8080)])
        neighbour, stranger = await here.open("neighbour"), await here.open("stranger", "other")
        gateway = web.endpoints["bridge"].gateway
        async with greeter(web.path, "web"):
            outside = await call(here.host.outside, here.host.address, 8080)
            assert outside == ("web", here.host.outside_address), "the client's address is kept"
            for path in (here.host.inside, neighbour.path, stranger.path, web.path):
                assert (await call(path, here.host.address, 8080))[0] == "web"
            assert (await call(here.host.inside, "127.0.0.1", 8080))[0] == "web"
            assert (await call(neighbour.path, gateway, 8080))[0] == "web"
        await here.networks.close(web.container_id)
        assert await cannot_call(here.host.outside, here.host.address, 8080)


async def test_ports_of_ipv6_networks() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="six", enable_ipv6=True))
        web = await here.open("web", "six", ports=[tcp(80, 8080)])
        peer = await here.open("peer", "six")
        bindings = [b.host_ip for b in web.ports["80/tcp"] or []]
        assert bindings == ["0.0.0.0", "::"]
        async with greeter(web.path, "web", version=6), greeter(here.host.outside, "out", version=6):
            assert await call(peer.path, address6(web, "six")) == ("web", address6(peer, "six"))
            assert await call(here.host.outside, here.host.address6, 8080) == ("web", here.host.outside_address6)
            assert (await call(peer.path, here.host.address6, 8080))[0] == "web"
            assert (await call(here.host.inside, here.host.address6, 8080))[0] == "web"
            with pytest.raises(ConnectionRefusedError):  # at once: clients then try 127.0.0.1
                await call(here.host.inside, "::1", 8080)
            assert await call(peer.path, here.host.outside_address6) == ("out", here.host.address6)


async def test_networks_are_isolated_from_each_other_and_from_routed_strangers() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="other"))
        web, stranger = await here.open("web", ports=[tcp(80, 8080)]), await here.open("stranger", "other")
        subnet_of_web = web.endpoints["bridge"].gateway.rsplit(".", 2)[0] + ".0.0/16"
        in_namespace(here.host.outside, "ip", "route", "add", subnet_of_web, "via", here.host.address)
        async with greeter(web.path, "web"), greeter(web.path, "hidden", 81):
            assert await cannot_call(stranger.path, address(web))
            assert await cannot_call(here.host.outside, address(web))
            assert await cannot_call(here.host.outside, address(web), 81)
            assert (await call(here.host.outside, here.host.address, 8080))[0] == "web"


async def test_a_port_of_one_host_address_only() -> None:
    async with world() as here:
        web = await here.open("web", ports=[tcp(80, 8080, "127.0.0.1")])
        async with greeter(web.path, "web"):
            assert (await call(here.host.inside, "127.0.0.1", 8080))[0] == "web"
            assert await cannot_call(here.host.outside, here.host.address, 8080)
            assert await cannot_call(here.host.inside, here.host.address, 8080)


async def test_host_loopback_is_closed_to_containers() -> None:
    async with world() as here:
        one = await here.open("one")
        in_namespace(one.path, "ip", "route", "replace", "127.0.0.9/32", "via", one.endpoints["bridge"].gateway)
        in_namespace(one.path, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        async with greeter(here.host.inside, "secret", 99):
            assert await cannot_call(one.path, "127.0.0.9", 99)


async def test_udp_ports() -> None:
    async with world() as here:
        mapping = PortMapping(protocol="udp", container_port=53, host_port=5353)
        one = await here.open("one", ports=[mapping])
        server, client = socket_in(one.path, "0.0.0.0:53", udp=True), socket_in(here.host.outside, udp=True)
        with server, client:
            client.settimeout(5)
            server.settimeout(5)
            client.connect((here.host.address, 5353))
            client.send(b"question")
            data, peer = server.recvfrom(100)
            server.sendto(data + b" answered", peer)
            assert client.recv(100) == b"question answered"


async def test_sctp_ports() -> None:
    """By packets made by hand: the kernels that run this forward SCTP, but not all let programs speak it."""
    async with world() as here:
        mapping = PortMapping(protocol="sctp", container_port=38412, host_port=3868)
        one = await here.open("one", ports=[mapping])
        server, client = within(one.path, sctp.raw_socket), within(here.host.outside, sctp.raw_socket)
        with server, client:
            server.settimeout(5)
            client.settimeout(5)
            asked = sctp.Packet(source=5000, target=3868, tag=0, chunk=sctp.INIT, initiate=7)
            client.sendto(sctp.pack(asked), (here.host.address, 0))
            data, (peer, _) = server.recvfrom(1500)
            assert sctp.unpack(data) == asked._replace(target=38412)
            answer = sctp.Packet(source=38412, target=5000, tag=7, chunk=sctp.INIT_ACK, initiate=9)
            server.sendto(sctp.pack(answer), (peer, 0))
            data, (host, _) = client.recvfrom(1500)
            assert (host, sctp.unpack(data)) == (here.host.address, answer._replace(source=3868))


async def test_ephemeral_ports_and_conflicts() -> None:
    async with world() as here:
        one = await here.open("one", ports=[tcp(80), tcp(81)])
        ports = {(b[0].host_port) for b in one.ports.values() if b}
        assert len(ports) == 2
        taken = int(ports.pop())
        with pytest.raises(ShoalError, match=f"Bind for 0.0.0.0:{taken} failed: port is already allocated"):
            await here.open("two", ports=[tcp(80, 7777), tcp(80, taken)])
        listening = socket.create_server(("", 7777))  # the failed attempt gave 7777 back
        with listening, pytest.raises(ShoalError, match="port is already allocated"):
            await here.open("three", ports=[tcp(80, 7777)])
        assert len(here.networks.inspect("bridge").containers) == 1
        with pytest.raises(InvalidArgument, match="does not have that address"):
            await here.open("four", ports=[tcp(80, 80, "192.0.2.1")])
        with pytest.raises(Unsupported, match="icmp"):
            await here.open("five", ports=[PortMapping(protocol="icmp", container_port=1)])


async def test_internal_networks_have_no_way_out() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="inner", internal=True))
        one, two = await here.open("one", "inner", ports=[tcp(80, 8080)]), await here.open("two", "inner")
        assert one.endpoints["inner"].gateway == ""
        assert one.ports == {"80/tcp": None}
        gateway = here.networks.inspect("inner").ipam.config[0].gateway
        in_namespace(one.path, "ip", "route", "add", "default", "via", gateway)
        async with greeter(two.path, "two"), greeter(here.host.outside, "out"):
            assert (await call(one.path, address(two, "inner")))[0] == "two"
            assert await cannot_call(one.path, here.host.outside_address)


async def test_without_icc_only_published_ports_are_reached() -> None:
    async with world() as here:
        await here.networks.create(
            subnet("apart", "10.99.0.0/24", options={"com.docker.network.bridge.enable_icc": "false"})
        )
        one, two = await here.open("one", "apart"), await here.open("two", "apart", ports=[tcp(80, 8080)])
        async with greeter(two.path, "two"), greeter(here.host.outside, "out"):
            assert await cannot_call(one.path, address(two, "apart"))
            assert (await call(one.path, here.host.address, 8080))[0] == "two"
            assert (await call(one.path, here.host.outside_address))[0] == "out"


async def test_none_and_host() -> None:
    async with world() as here:
        none, host = await here.open("none", "none"), await here.open("host", "host")
        assert "eth0" not in in_namespace(none.path, "ip", "-br", "link")
        assert "lo" in in_namespace(none.path, "ip", "-br", "link")
        assert host.path.stat().st_ino == here.host.inside.stat().st_ino
        assert list(here.networks.inspect("host").containers) == [host.container_id]


async def test_the_address_that_a_networks_ports_are_published_at() -> None:
    async with world() as here:
        options = {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}
        await here.networks.create(NetworkSpec(name="near", options=options))
        web = await here.open("web", "near", ports=[tcp(80, 8080)])
        assert [b.host_ip for b in web.ports["80/tcp"] or []] == ["127.0.0.1"]
        async with greeter(web.path, "web"):
            assert (await call(here.host.inside, "127.0.0.1", 8080))[0] == "web"
            assert await cannot_call(here.host.outside, here.host.address, 8080)


async def test_without_masquerading_the_containers_address_goes_out() -> None:
    async with world() as here:
        options = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
        await here.networks.create(subnet("routed", "10.50.0.0/24", options=options))
        one = await here.open("one", "routed")
        in_namespace(here.host.outside, "ip", "route", "add", "10.50.0.0/24", "via", here.host.address)
        async with greeter(here.host.outside, "out"):
            assert await call(one.path, here.host.outside_address) == ("out", address(one, "routed"))
