"""What the control plane decided, on one node: overlay networks, VIPs, service names, published ports."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from common.errors import Conflict, ShoalError
from common.model import Network, NetworkSpec
from common.model.network import IPAM, IPAMPool
from common.model.service import PortConfig
from common.wire import Backend, ServiceEndpoint
from tests.harness.netns import call, cannot_call, greeter, in_namespace, socket_in
from tests.harness.networks import World, address, at, tcp, world
from tests.harness.wait import until
from tests.integration.test_network_dns import ask
from worker.network.base import Sandbox

VIP = "10.0.9.2"


def overlay(
    name: str = "mesh", subnet: str = "10.0.9.0/24", gateway: str = "10.0.9.1", attachable: bool = False
) -> Network:
    wanted = NetworkSpec(name=name, driver="overlay", scope="swarm", attachable=attachable)
    return Network(id=f"id{name}", spec=wanted, ipam=IPAM(config=[IPAMPool(subnet=subnet, gateway=gateway)]))


def service(*addresses: str, name: str = "web", **options: object) -> ServiceEndpoint:
    backends = [
        Backend(task_id=f"t{slot}", slot=slot, container_name=f"{name}.{slot}.t{slot}", address=address)
        for slot, address in enumerate(addresses, 1)
    ]
    options = {"network_id": "idmesh", "vip": VIP, **options}
    return ServiceEndpoint(service_id=f"s{name}", service_name=name, backends=backends, **options)  # type: ignore[arg-type]


async def start(here: World, *addresses: str) -> list[Sandbox]:
    await here.networks.ensure(overlay())
    return [await here.open(f"task{number}", at("mesh", ip), assigned=True) for number, ip in enumerate(addresses)]


async def names(path: Path, where: str, port: int = 80, *, calls: int = 8) -> Counter[str]:
    return Counter([(await call(path, where, port))[0] for _ in range(calls)])


async def test_a_vip_is_balanced_and_keeps_source_and_hairpin() -> None:
    async with world() as here:
        one, two = await start(here, "10.0.9.5", "10.0.9.6")
        await here.networks.program([service("10.0.9.5", "10.0.9.6")])
        assert await ask(one.path, "web") == (0, [VIP])
        assert sorted((await ask(one.path, "tasks.web"))[1]) == ["10.0.9.5", "10.0.9.6"]
        assert await ask(one.path, "2.web") == (0, ["10.0.9.6"])
        async with greeter(one.path, "one"), greeter(two.path, "two"):
            assert await names(one.path, VIP) == {"one": 4, "two": 4}
            assert {await call(one.path, VIP) for _ in range(2)} == {("one", "10.0.9.5"), ("two", "10.0.9.5")}


async def test_changes_reach_namespaces_that_use_a_vip_at_once() -> None:
    async with world() as here:
        one, two = await start(here, "10.0.9.5", "10.0.9.6")
        async with greeter(one.path, "one"), greeter(two.path, "two"):
            await here.networks.program([service("10.0.9.5")])
            await ask(two.path, "web")
            assert await names(two.path, VIP) == {"one": 8}
            await here.networks.program([service("10.0.9.6")])
            assert await names(two.path, VIP) == {"two": 8}
            await here.networks.program([service()])
            with pytest.raises(ConnectionRefusedError):
                await call(two.path, VIP)
            await here.networks.program([service("10.0.9.5", "10.0.9.6")])
            assert await names(two.path, VIP) == {"one": 4, "two": 4}


async def test_a_vip_is_reached_without_asking_for_its_name() -> None:
    async with world() as here:
        (one,) = await start(here, "10.0.9.5")
        await here.networks.program([service("10.0.9.5")])
        async with greeter(one.path, "one"), asyncio.timeout(5):
            while await cannot_call(one.path, VIP):
                pass


async def test_services_without_a_vip_answer_with_their_tasks() -> None:
    async with world() as here:
        (one,) = await start(here, "10.0.9.5")
        await here.networks.program([service("10.0.9.5", "10.0.9.6", vip="", aliases=["www"])])
        for name in ("web", "www"):
            assert sorted((await ask(one.path, name))[1]) == ["10.0.9.5", "10.0.9.6"]


async def test_published_ports_of_services() -> None:
    async with world() as here:
        one, two = await start(here, "10.0.9.5", "10.0.9.6")
        stranger = await here.open("stranger")
        port = PortConfig(protocol="tcp", target_port=80, published_port=8080)
        await here.networks.program([service("10.0.9.5", "10.0.9.6", ports=[port])])
        both = {"one": 4, "two": 4}
        async with greeter(one.path, "one"), greeter(two.path, "two"):
            assert await names(here.host.outside, here.host.address, 8080) == both
            assert (await call(here.host.outside, here.host.address, 8080))[1] == here.host.outside_address
            for path in (here.host.inside, one.path, stranger.path):
                assert set(await names(path, here.host.address, 8080)) == {"one", "two"}
            assert set(await names(here.host.inside, "127.0.0.1", 8080)) == {"one", "two"}
            await here.networks.program([service("10.0.9.6", ports=[port])])
            assert await names(here.host.outside, here.host.address, 8080) == {"two": 8}
            with pytest.raises(ShoalError, match="already allocated"):
                await here.open("late", ports=[tcp(80, 8080)])
            await here.networks.program([service(ports=[port])])
            with pytest.raises(ConnectionRefusedError):
                await call(here.host.outside, here.host.address, 8080)
        await here.networks.program([])
        await here.open("late", ports=[tcp(80, 8080)])


async def test_services_go_on_without_the_daemon_and_are_taken_over() -> None:
    async with world() as here:
        one, two = await start(here, "10.0.9.5", "10.0.9.6")
        port = PortConfig(protocol="tcp", target_port=80, published_port=8080)
        await here.networks.program([service("10.0.9.5", ports=[port])])
        await ask(two.path, "web")
        async with greeter(one.path, "one"), greeter(two.path, "two"):
            await here.restart([one.container_id, two.container_id])
            assert await names(here.host.outside, here.host.address, 8080) == {"one": 8}
            assert await names(two.path, VIP) == {"one": 8}
            await here.networks.program([service("10.0.9.6", ports=[port])])
            await ask(two.path, "web")
            assert await names(here.host.outside, here.host.address, 8080) == {"two": 8}
            assert await names(two.path, VIP) == {"two": 8}


async def test_udp_leaves_a_backend_that_is_gone() -> None:
    async with world() as here:
        one, two = await start(here, "10.0.9.5", "10.0.9.6")
        port = PortConfig(protocol="udp", target_port=99, published_port=9999)
        await here.networks.program([service("10.0.9.5", ports=[port])])
        await ask(two.path, "web")
        inside, outside = socket_in(two.path, udp=True), socket_in(here.host.outside, udp=True)
        servers = [socket_in(box.path, "0.0.0.0:99", udp=True) for box in (one, two)]
        for sock in (inside, outside, *servers):
            sock.settimeout(5)
        inside.connect((VIP, 99))
        outside.connect((here.host.address, 9999))
        for client in (inside, outside):
            client.send(b"first")
            assert servers[0].recv(100) == b"first"
        await here.networks.program([service("10.0.9.6", ports=[port])])
        for client in (inside, outside):
            client.send(b"second")
            assert servers[1].recv(100) == b"second"
        for sock in (inside, outside, *servers):
            sock.close()


async def test_overlay_networks_come_and_go() -> None:
    async with world() as here:
        before = here.rules()
        (one,) = await start(here, "10.0.9.5")
        await here.networks.ensure(overlay())
        assert here.networks.inspect("mesh").scope == "swarm"
        async with greeter(here.host.outside, "out"):
            assert await call(one.path, here.host.outside_address) == ("out", here.host.address)
        await here.networks.forget_idle(list)
        assert here.networks.inspect("mesh").id == "idmesh", "it is in use"
        with pytest.raises(Conflict, match="in use on this node"):
            await here.networks.ensure(overlay("other", "10.0.9.0/25"))
        await here.networks.close(one.container_id)
        await here.networks.forget_idle(lambda: ["idmesh"])
        assert here.networks.inspect("mesh").id == "idmesh", "it is needed"
        await here.networks.forget_idle(list)
        until(lambda: not here.leftovers(), "nothing is left")
        assert here.rules() == before


async def test_a_network_that_is_being_forgotten_comes_again_for_whoever_needs_it() -> None:
    async with world() as here:
        here.plane.networks["mesh"] = overlay(attachable=True)
        one = await here.open("one", "mesh")
        await here.networks.close(one.container_id)
        async with asyncio.TaskGroup() as group:
            group.create_task(here.networks.forget_idle(list))
            opening = group.create_task(here.open("two", "mesh"))
        assert address(opening.result(), "mesh") == "10.0.9.101"


async def test_containers_of_users_get_their_places_from_the_control_plane() -> None:
    async with world() as here:
        mesh = here.plane.networks["mesh"] = overlay(attachable=True)
        one, two = await here.open("one", "mesh"), await here.open("two")
        assert address(one, "mesh") == "10.0.9.100"
        await here.networks.connect(two.container_id, at("mesh", "10.0.9.7"))
        assert here.plane.guests.keys() == {(one.container_id, mesh.id), (two.container_id, mesh.id)}
        assert here.networks.guests() == [one.container_id, two.container_id]
        async with greeter(one.path, "one"):
            assert await call(two.path, "10.0.9.100") == ("one", "10.0.9.7")
        await here.restart([one.container_id, two.container_id])
        assert set(here.networks.guests()) == {one.container_id, two.container_id}
        await here.networks.disconnect(two.container_id, "mesh")
        await here.networks.close(one.container_id)
        assert (here.networks.guests(), here.plane.guests) == ([], {})


async def test_places_are_given_back_where_opening_fails() -> None:
    async with world() as here:
        here.plane.networks["mesh"] = overlay(attachable=True)
        with pytest.raises(ShoalError, match="network nothing not found"):
            await here.open("one", "mesh", "nothing")
        with pytest.raises(ShoalError, match="does not belong to any"):
            await here.open("two", at("mesh", "10.0.8.1"))
        assert (here.networks.guests(), here.plane.guests) == ([], {})
        assert not here.leftovers()


async def test_privileged_tasks_may_break_their_own_rules_only() -> None:
    async with world() as here:
        one, two = await start(here, "10.0.9.5", "10.0.9.6")
        async with greeter(one.path, "one"), greeter(two.path, "two"):
            await here.networks.program([service("10.0.9.5")])
            await ask(two.path, "web")
            in_namespace(two.path, "nft", "flush", "ruleset")
            await here.networks.program([service("10.0.9.6")])
            assert await names(two.path, VIP) == {"two": 8}
        assert address(one, "mesh") == "10.0.9.5"
