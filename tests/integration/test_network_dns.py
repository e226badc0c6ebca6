"""The embedded resolver: names of containers, other names through upstreams, and anything that a client may send."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from common.model import NetworkSpec
from tests.harness.netns import in_namespace, socket_in
from tests.harness.networks import World, address, address6, at, world
from worker.network import dns_wire
from worker.network.dns_wire import AAAA, NOERROR, NXDOMAIN, PTR, SERVFAIL, A


def question(name: str, kind: int = A) -> bytes:
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    return os.urandom(2) + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def parse(response: bytes) -> tuple[int, list[str]]:
    """(rcode, addresses or raw names) of an answer whose records all point back to the question."""
    count = struct.unpack_from(">H", response, 6)[0]
    _, offset = dns_wire._name(response, 12)
    offset, found = offset + 4, []
    for _ in range(count):
        kind, _, _, size = struct.unpack_from(">HHIH", response, offset + 2)
        data = response[offset + 12 : offset + 12 + size]
        family = socket.AF_INET if kind == A else socket.AF_INET6
        found.append(dns_wire._name(data, 0)[0] if kind == PTR else socket.inet_ntop(family, data))
        offset += 12 + size
    return response[3] & 15, found


async def ask(path: Path, name: str, kind: int = A, *, timeout: float = 8) -> tuple[int, list[str]]:
    return parse(await raw(path, question(name, kind), timeout=timeout))


async def raw(path: Path, data: bytes, *, timeout: float = 8) -> bytes:
    loop = asyncio.get_running_loop()
    with socket_in(path, udp=True) as sock:
        await loop.sock_connect(sock, ("127.0.0.11", 53))
        await loop.sock_sendall(sock, data)
        async with asyncio.timeout(timeout):
            return await loop.sock_recv(sock, 65535)


async def by_tcp(path: Path, *questions: bytes) -> list[bytes]:
    with socket_in(path) as sock:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.11", 53))
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"".join(len(q).to_bytes(2, "big") + q for q in questions))
        answers = [await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")) for _ in questions]
        writer.close()
    return answers


@asynccontextmanager
async def upstream(path: Path, where: str, known: dict[str, str], *, silent: Iterable[str] = ()) -> AsyncIterator[None]:
    """A tiny resolver that knows A records; answers are cut by UDP for names that start with "big"."""

    def reply(data: bytes, *, udp: bool) -> bytes | None:
        query = dns_wire.parse_query(data)
        if query.name in silent:
            return None
        if query.name not in known:
            return dns_wire.answer(query, [], ttl=1, rcode=NXDOMAIN, udp=udp)
        records = [(A, socket.inet_aton(known[query.name]))] * (100 if query.name.startswith("big") else 1)
        return dns_wire.answer(query, records, ttl=1, udp=udp)

    udp, tcp = socket_in(path, f"{where}:53", udp=True), socket_in(path, f"{where}:53")
    loop = asyncio.get_running_loop()

    def receive() -> None:
        data, peer = udp.recvfrom(4096)
        if response := reply(data, udp=True):
            udp.sendto(response, peer)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        response = reply(data, udp=False) or b""
        writer.write(len(response).to_bytes(2, "big") + response)
        await writer.drain()
        writer.close()

    loop.add_reader(udp, receive)
    server = await asyncio.start_server(converse, sock=tcp)
    try:
        yield
    finally:
        loop.remove_reader(udp)
        udp.close()
        server.close()
        await server.wait_closed()


async def user_network(here: World, name: str = "net", **options: object) -> None:
    await here.networks.create(NetworkSpec(name=name, **options))  # type: ignore[arg-type]


async def test_names_of_containers() -> None:
    async with world() as here:
        await user_network(here, enable_ipv6=True)
        one = await here.open("one", "net")
        two = await here.open("two", at("net", aliases=["db", "shared"]))
        three = await here.open("three", at("net", aliases=["shared"]))
        own = (NOERROR, [address(two, "net")])
        for name in ("two", "TWO", "db", "two.net", two.container_id[:12]):
            assert await ask(one.path, name) == own, name
        assert await ask(one.path, "two", AAAA) == (NOERROR, [address6(two, "net")])
        rcode, shared = await ask(one.path, "shared")
        assert (rcode, set(shared)) == (NOERROR, {address(two, "net"), address(three, "net")})
        reverse = ".".join(reversed(address(two, "net").split("."))) + ".in-addr.arpa"
        assert await ask(one.path, reverse, PTR) == (NOERROR, ["two.net"])
        answers = await by_tcp(one.path, question("two"), question("three"))
        assert [parse(a)[1] for a in answers] == [[address(two, "net")], [address(three, "net")]]


async def test_a_name_without_the_asked_ip_version_is_no_error() -> None:
    async with world() as here:
        await user_network(here)
        one = await here.open("one", "net")
        assert await ask(one.path, "one", AAAA) == (NOERROR, [])


async def test_names_stay_on_their_network() -> None:
    async with world() as here:
        await user_network(here, "red")
        await user_network(here, "blue")
        red, both, blue = await here.open("r", "red"), await here.open("b", "red", "blue"), await here.open("l", "blue")
        assert (await ask(red.path, "l"))[0] == SERVFAIL
        assert await ask(both.path, "l") == (NOERROR, [address(blue, "blue")])
        assert await ask(both.path, "r") == (NOERROR, [address(red, "red")])
        assert await ask(red.path, "b") == (NOERROR, [address(both, "red")])


async def test_names_follow_rename_connect_disconnect_and_end() -> None:
    async with world() as here:
        await user_network(here)
        one, two = await here.open("one", "net"), await here.open("two", "bridge")
        assert "127.0.0.11" not in two.resolv_conf.read_text()
        await here.networks.connect(two.container_id, at("net", aliases=["late"]))
        joined = here.networks.sandbox(two.container_id)
        assert joined
        expected = (NOERROR, [address(joined, "net")])
        assert await ask(one.path, "late") == await ask(one.path, "two") == expected
        assert await ask(two.path, "one") == (NOERROR, [address(one, "net")]), "it got a resolver, too"
        assert "nameserver 127.0.0.11" in two.resolv_conf.read_text()
        here.networks.rename(two.container_id, "deux")
        assert await ask(one.path, "deux") == expected
        assert (await ask(one.path, "two"))[0] == SERVFAIL
        await here.networks.disconnect(two.container_id, "net")
        assert (await ask(one.path, "deux"))[0] == SERVFAIL
        await here.networks.close(two.container_id)


async def test_other_names_go_to_upstreams() -> None:
    async with world() as here:
        await user_network(here)
        outside = here.host.outside_address
        one = await here.open("one", "net", dns=[outside])
        async with upstream(here.host.outside, outside, {"example.test": "192.0.2.1", "big.test": "192.0.2.2"}):
            assert await ask(one.path, "example.test") == (NOERROR, ["192.0.2.1"])
            assert (await ask(one.path, "nowhere.test"))[0] == NXDOMAIN
            cut = await raw(one.path, question("big.test"))
            assert cut[2] & 2, "marked as cut, so that clients ask by TCP"
            whole = (await by_tcp(one.path, question("big.test")))[0]
            assert len(parse(whole)[1]) == 100


async def test_upstreams_are_tried_in_turn() -> None:
    async with world() as here:
        await user_network(here)
        dead, alive = here.host.address, here.host.outside_address
        one = await here.open("one", "net", dns=[dead, alive])
        async with upstream(here.host.outside, alive, {"example.test": "192.0.2.1"}):
            assert await ask(one.path, "example.test") == (NOERROR, ["192.0.2.1"])


async def test_the_hosts_loopback_resolver_is_asked_from_the_host() -> None:
    async with world(dns=["127.0.0.53"]) as here:
        await user_network(here)
        one = await here.open("one", "net")
        async with upstream(here.host.inside, "127.0.0.53", {"example.test": "192.0.2.1"}):
            assert await ask(one.path, "example.test") == (NOERROR, ["192.0.2.1"])


async def test_internal_networks_ask_nobody() -> None:
    async with world(dns=["127.0.0.53"]) as here:
        await user_network(here, "inner", internal=True)
        one = await here.open("one", "inner")
        async with upstream(here.host.inside, "127.0.0.53", {"example.test": "192.0.2.1"}):
            assert (await ask(one.path, "example.test"))[0] == SERVFAIL
            assert await ask(one.path, "one") == (NOERROR, [address(one, "inner")])


async def test_a_container_may_serve_dns_itself() -> None:
    async with world() as here:
        await user_network(here)
        one = await here.open("one", "net")
        with socket_in(one.path, "0.0.0.0:53", udp=True), socket_in(one.path, "0.0.0.0:53"):
            assert await ask(one.path, "one") == (NOERROR, [address(one, "net")])


async def test_garbage_harms_nobody() -> None:
    async with world() as here:
        await user_network(here)
        one = await here.open("one", "net")
        seed = random.randrange(2**32)
        source = random.Random(seed)
        loop = asyncio.get_running_loop()
        with socket_in(one.path, udp=True) as sock:
            await loop.sock_connect(sock, ("127.0.0.11", 53))
            for _ in range(500):
                whole = bytearray(question("one"))
                for _ in range(source.randrange(1, 6)):
                    whole[source.randrange(len(whole))] = source.randrange(256)
                sock.send(bytes(whole[: source.randrange(len(whole) + 1)]) or b"\0")
        with socket_in(one.path) as sock:
            await loop.sock_connect(sock, ("127.0.0.11", 53))
            sock.send(b"\xff\xff" + source.randbytes(1000))
        assert await ask(one.path, "one") == (NOERROR, [address(one, "net")]), f"seed {seed}"


async def test_a_new_daemon_answers_again() -> None:
    async with world() as here:
        await user_network(here)
        one, two = await here.open("one", "net"), await here.open("two", "net")
        await here.restart([one.container_id, two.container_id])
        assert await ask(one.path, "two") == (NOERROR, [address(two, "net")])
        assert "nameserver 127.0.0.11" in one.resolv_conf.read_text()
        assert in_namespace(one.path, "nft", "list", "ruleset").count("dport 53") == 2
