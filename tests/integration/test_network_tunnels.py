"""Tunnels in a kernel: entries become exactly what was told, by differences or after a restart, and go with the network."""

from __future__ import annotations

from common.ids import object_id
from common.model import Network, NetworkSpec
from common.model.network import IPAM, IPAMPool
from common.wire import Peer
from tests.harness.netns import in_namespace
from tests.harness.networks import World, at, world
from tests.harness.wait import eventually
from worker.network.base import Here


def overlay(name: str = "app", **options: str) -> Network:
    pools = [IPAMPool(subnet="10.50.0.0/24", gateway="10.50.0.1"), IPAMPool(subnet="fd50::/64", gateway="fd50::1")]
    spec = NetworkSpec(name=name, driver="overlay", attachable=True, options=options)
    return Network(id=object_id(), spec=spec, ipam=IPAM(config=pools), vni=77)


def peer(network: Network, host: str, *addresses: str, node: str = "other") -> Peer:
    return Peer(network_id=network.id, node_id=node, host=host, port=4790, addresses=[*addresses])


def entries(here: World, network: Network) -> set[str]:
    """What the kernel has: "MAC HOST", "bridged MAC" and "IP MAC"."""
    tunnel = f"vx-{network.id[:12]}"
    found = set()
    for line in in_namespace(here.host.inside, "bridge", "fdb", "show", "dev", tunnel).splitlines():
        words = line.split()
        if words[-1] == "static":
            found.add(f"{words[0]} {words[2]}" if "self" in words else f"bridged {words[0]}")
    for line in in_namespace(here.host.inside, "ip", "neigh", "show", "dev", tunnel, "nud", "permanent").splitlines():
        found.add(f"{line.split()[0]} {line.split()[2]}")
    return found


def of(address: str, mac: str, host: str) -> set[str]:
    return {f"{mac} {host}", f"bridged {mac}", f"{address} {mac}"}


FIVE, SIX = "02:42:0a:32:00:05", "02:42:0a:32:00:06"


async def test_entries_follow_what_is_told_and_survive_a_restart() -> None:
    async with world() as here:
        network = overlay()
        here.plane.networks["app"] = network
        here.plane.place = Here("me", here.host.address)
        sandbox = await here.open("c", at("app"))
        await here.networks.reach([peer(network, "192.0.2.1", "10.50.0.5")])
        assert entries(here, network) == of("10.50.0.5", FIVE, "192.0.2.1")
        moved = peer(network, "192.0.2.2", "10.50.0.5"), peer(network, "192.0.2.1", "10.50.0.6", "fd50::6")
        await here.networks.reach(moved)
        both = of("10.50.0.5", FIVE, "192.0.2.2") | of("10.50.0.6", SIX, "192.0.2.1") | {f"fd50::6 {SIX}"}
        assert entries(here, network) == both
        await here.restart([sandbox.container_id])
        assert entries(here, network) == both, "what was programmed stays until the control plane was heard"
        await here.networks.reach(moved[1:])
        assert entries(here, network) == of("10.50.0.6", SIX, "192.0.2.1") | {f"fd50::6 {SIX}"}
        await here.networks.reach([])
        assert entries(here, network) == set()
        await here.networks.close(sandbox.container_id)
        await here.networks.forget_idle(set)
        await eventually(lambda: here.leftovers() == [])


async def test_an_underlay_of_ipv6_and_another_address() -> None:
    async with world() as here:
        network = overlay()
        here.plane.networks["app"] = network
        here.plane.place = Here("me", here.host.address6)
        sandbox = await here.open("c", at("app"))
        await here.networks.reach([peer(network, "2001:db8::1", "10.50.0.5")])
        assert entries(here, network) == of("10.50.0.5", FIVE, "2001:db8::1")
        link = in_namespace(here.host.inside, "ip", "-d", "link", "show", "dev", f"vx-{network.id[:12]}")
        assert f"local {here.host.address6} " in link
        assert " dstport 4790 " in link
        assert " mtu 1430 " in link
        here.plane.place = Here("me", here.host.address)
        await here.networks.reach([peer(network, "192.0.2.1", "10.50.0.5")])
        assert entries(here, network) == of("10.50.0.5", FIVE, "192.0.2.1"), "the node has another address"
        await here.networks.close(sandbox.container_id)


async def test_what_is_to_be_encrypted_or_alone_has_no_tunnel() -> None:
    async with world() as here:
        for network, place in ((overlay(encrypted=""), Here("me", here.host.address)), (overlay(), Here("me", ""))):
            here.plane.networks["app"] = network
            here.plane.place = place
            sandbox = await here.open("c", at("app"))
            await here.networks.reach([peer(network, "192.0.2.1", "10.50.0.5")])
            links = in_namespace(here.host.inside, "ip", "-o", "link")
            assert f"br-{network.id[:12]}" in links
            assert "vx-" not in links
            await here.networks.close(sandbox.container_id)
            await here.networks.forget_idle(set)
        await eventually(lambda: here.leftovers() == [])
