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
    hand = [("ip", "netns", "exec", name) for name, _ in _SIDES]
    with _listening(two, server), _listening(two, hand[1]):
        overlay, by_hand, through, direct = medians(
            ROUNDS,
            lambda: _throughput(one, client, address),
            lambda: _throughput(one, hand[0], "10.200.0.2"),
            lambda: _throughput(one, client, vip),
            lambda: _throughput(one, client, address),
        )
    return [overlay, by_hand, through, direct]


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


def _inside(host: Host, service: str) -> tuple[str, ...]:
    pid = host.docker("inspect", "-f", "{{.State.Pid}}", _container(host, service)).strip()
    return ("nsenter", "-t", pid, "-n", "--")


class _listening:  # noqa: N801
    """An iperf3 server as long as the `with`."""

    def __init__(self, host: Host, inside: tuple[str, ...]) -> None:
        self._command = host.command(*inside, "iperf3", "-s", "--forceflush")

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        while "listening" not in self._process.stdout.readline():
            assert self._process.poll() is None, "iperf3 does not listen"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()


def _throughput(host: Host, inside: tuple[str, ...], address: str) -> float:
    result = json.loads(host.run(*inside, "iperf3", "-c", address, "-t", SECONDS, "--connect-timeout", "3000", "-J"))
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
