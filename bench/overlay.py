"""The overlay network: throughput between containers on two hosts of the lab, beside the same VXLAN set up by hand; through a
service's address, beside the address of its task; and how long a node takes to program very many peers.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import time
from ipaddress import ip_address, ip_network

from bench.figure import Figure, medians
from common.ids import object_id
from common.model import Network, NetworkSpec
from common.model.network import IPAM, IPAMPool
from common.wire import Peer
from examples.lab.host import Host
from tests.harness.lab import Formed, lab
from tests.harness.networks import World, at, world
from worker.network.base import Here

ROUNDS = 5
SECONDS = "1"
SLEEP = ("sleep", "100000")
PEERS = 1000
Command = tuple[str, ...]
_SIDES = (("a", 1), ("b", 2))  # of the VXLAN by hand


def main() -> list[Figure]:
    with lab(managers=1, workers=1) as made:
        overlay, by_hand, vip, direct = _throughputs(made)
    many, one_more = asyncio.run(_programming())
    return [
        Figure(name="tcp_ratio", value=overlay / 1e9, unit="Gbit/s", peer="by hand", peer_value=by_hand / 1e9),
        Figure(name="vip_ratio", value=vip / 1e9, unit="Gbit/s", peer="direct", peer_value=direct / 1e9),
        Figure(name="program_1k_s", value=many, unit="s"),
        Figure(name="program_one_more_ms", value=one_more * 1e3, unit="ms"),
    ]


def _throughputs(made: Formed) -> list[float]:
    """Bits per second: overlay, by hand, through a VIP, to the task directly."""
    one, two = made.hosts
    made.cluster.ask("network", "create", "-d", "overlay", "app")
    words = ("service", "create", "--detach", "--no-resolve-image", "--network", "app", "--constraint")
    for name, host in (("client", one), ("server", two)):
        made.cluster.ask(*words, f"node.hostname=={host.name}", "--name", name, "busybox", *SLEEP)
        made.cluster.until_running(name, 1)
    client, server = _inside(one, "client"), _inside(two, "server")
    found = one.docker("exec", _container(one, "client"), "nslookup", "-type=a", "server")
    vip = found.partition("Name:")[2].split("Address: ")[1].split()[0]
    address = two.run(*server, "hostname", "-I").split()[0]
    _by_hand(one, two)
    ends, containers = (one, two), (client, server)
    hand = (("ip", "netns", "exec", "a"), ("ip", "netns", "exec", "b"))
    return medians(
        ROUNDS,
        lambda: _throughput(ends, containers, address),
        lambda: _throughput(ends, hand, "10.200.0.2"),
        lambda: _throughput(ends, containers, vip),
        lambda: _throughput(ends, containers, address),
    )


def _by_hand(*hosts: Host) -> None:
    """A namespace on each host, on a bridge with a VXLAN device of the same kind and size, and static entries."""
    ends = list(zip(hosts, _SIDES, strict=True))
    for host, (name, number) in ends:
        mac, mtu = f"02:42:0a:c8:00:{number:02x}", str(int(host.run("cat", "/sys/class/net/eth0/mtu")) - 50)
        for line in (
            f"netns add {name}",
            f"link add hbr mtu {mtu} type bridge",
            f"link add hvx mtu {mtu} type vxlan id 99 dstport 4799 local {host.ip} nolearning proxy",
            "link set hvx master hbr up",
            "link set hbr up",
            f"link add hveth mtu {mtu} type veth peer name eth0 address {mac} mtu {mtu} netns {name}",
            "link set hveth master hbr up",
            f"-n {name} addr add 10.200.0.{number}/24 dev eth0",
            f"-n {name} link set eth0 up",
        ):
            host.run("ip", *line.split())
        for other, (_, far) in ends:
            if other is not host:
                theirs = f"02:42:0a:c8:00:{far:02x}"
                host.run(*f"bridge fdb add {theirs} dev hvx dst {other.ip} self permanent".split())
                host.run(*f"bridge fdb add {theirs} dev hvx master static".split())
                host.run(*f"ip neigh add 10.200.0.{far} lladdr {theirs} dev hvx nud permanent".split())


def _container(host: Host, service: str) -> str:
    return host.docker("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={service}").strip()


def _inside(host: Host, service: str) -> Command:
    pid = host.docker("inspect", "-f", "{{.State.Pid}}", _container(host, service)).strip()
    return ("nsenter", "-t", pid, "-n", "--")


def _throughput(ends: tuple[Host, Host], inside: tuple[Command, Command], address: str) -> float:
    """Of one TCP stream, to a server that ends with it."""
    (source, target), (here, there) = ends, inside
    with subprocess.Popen(
        target.command(*there, "iperf3", "-s", "-1", "--forceflush"), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        while "listening" not in server.stdout.readline():
            assert server.poll() is None, "iperf3 does not listen"
        result = json.loads(source.run(*here, "iperf3", "-c", address, "-t", SECONDS, "-J"))
        server.stdout.read()
    return float(result["end"]["sum_received"]["bits_per_second"])


async def _programming() -> tuple[float, float]:
    """Seconds for the first 1,000 peers of a network on a node, and for one more; the medians."""
    async with world() as here:
        taken = [await _program(here) for _ in range(ROUNDS)]
    first, second = zip(*taken, strict=True)
    return statistics.median(first), statistics.median(second)


async def _program(here: World) -> tuple[float, float]:
    here.plane.place = Here("me", here.host.address)
    subnet = ip_network("10.50.0.0/16")
    ipam = IPAM(config=[IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))])
    network = Network(
        id=object_id(), spec=NetworkSpec(name="app", driver="overlay", attachable=True), ipam=ipam, vni=77
    )
    here.plane.networks["app"] = network
    await here.networks.reach([])
    sandbox = await here.open("c", at("app"))
    base = int(ip_address("10.50.1.0"))
    peers = [
        Peer(
            network_id=network.id,
            node_id="other",
            host=here.host.outside_address,
            addresses=[str(ip_address(base + i))],
        )
        for i in range(PEERS + 1)
    ]
    moments = [time.monotonic()]
    for known in (peers[:-1], peers):
        await here.networks.reach(known)
        moments.append(time.monotonic())
    await here.networks.close(sandbox.container_id)
    await here.networks.forget_idle(set)
    return moments[1] - moments[0], moments[2] - moments[1]
