"""The kernel's side of networks and sandboxes: bridges, veth pairs, addresses, routes. Blocking: for pool threads.

Nothing here decides or remembers: callers say what is to be, records.py says what was.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_interface
from pathlib import Path

import msgspec

from common.errors import Conflict
from worker.network import namespaces, rtnl
from worker.network.dns_sockets import DnsSockets
from worker.network.netlink import Socket
from worker.network.records import Endpoint
from worker.network.rtnl import Address, Interface

_LOOPBACK = 1  # index of lo in every namespace


class Wire(msgspec.Struct, frozen=True):
    """An endpoint with what its network adds: the bridge's index, MTU, and whether its port is kept from the others."""

    endpoint: Endpoint
    bridge: int
    mtu: int
    isolated: bool


class Route(msgspec.Struct, frozen=True):
    """A default route: the interface inside the sandbox, and the gateway behind it."""

    interface: str
    gateway: Address


def host_namespace() -> Path:
    """The daemon's own namespace. By its number, because whoever reads this path is another process."""
    return Path(f"/proc/{os.getpid()}/ns/net")


def prepare_host(*, ipv6: bool) -> None:
    """What the daemon's namespace needs before it can forward for containers. Idempotent."""
    _sysctl("net/ipv4/ip_forward", "1")
    if ipv6:
        _sysctl("net/ipv6/conf/all/forwarding", "1")
    for kind in ("iptables", "ip6tables", "arptables"):
        # Bridged packets are none of the firewall's business; the files are missing where br_netfilter is.
        with suppress(FileNotFoundError):
            _sysctl(f"net/bridge/bridge-nf-call-{kind}", "0")


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge as it should be. `fresh`: no interface of that name may exist. `exact`: it has no other addresses, and this MAC
    address, also where it exists already."""

    name: str
    mac: str
    mtu: int
    addresses: tuple[Interface, ...]
    fresh: bool = False
    exact: bool = False


def make_bridge(wanted: Bridge) -> int:
    """Make the bridge with its addresses, or repair the one that is there; return its index. Raises Conflict."""
    ipv6 = any(address.version == 6 for address in wanted.addresses)
    prepare_host(ipv6=ipv6)
    with Socket() as sock:
        found = rtnl.link(sock, wanted.name)
        if found and (wanted.fresh or found.kind != "bridge"):
            raise Conflict(
                f"interface {wanted.name!r} exists already: choose another bridge name, or remove it",
                ("interface", wanted.name),
            )
        if not found:
            sock.send(rtnl.new_bridge(wanted.name, wanted.mac, wanted.mtu))
            found = rtnl.link(sock, wanted.name)
        assert found
        _bridge_sysctls(wanted.name, ipv6=ipv6)
        addresses = (rtnl.new_address(found.index, address) for address in wanted.addresses)
        # Without a link-local address the kernel cannot ask for the neighbours of packets that it forwards.
        sock.send(rtnl.set_up(found.index, link_local=True), *addresses)
        if wanted.exact:
            _correct(sock, found, wanted)
        return found.index


def _correct(sock: Socket, found: rtnl.Link, wanted: Bridge) -> None:
    """Containers that know the bridge by another MAC address hear of it."""
    others = [a for index, a in rtnl.interfaces(sock) if index == found.index and a not in wanted.addresses]
    sock.send_many([rtnl.delete_address(found.index, address) for address in others])
    if found.mac != wanted.mac:
        _sysctl(f"net/ipv4/conf/{wanted.name}/arp_notify", "1")
        sock.send(rtnl.set_mac(found.index, wanted.mac))


def _bridge_sysctls(interface: str, *, ipv6: bool) -> None:
    _sysctl(f"net/ipv4/conf/{interface}/route_localnet", "1")
    # Loose: an answer may leave a container by another of its networks than the question came in by.
    _sysctl(f"net/ipv4/conf/{interface}/rp_filter", "2")
    with suppress(FileNotFoundError):
        _sysctl(f"net/ipv6/conf/{interface}/disable_ipv6", "0" if ipv6 else "1")
        _sysctl(f"net/ipv6/conf/{interface}/accept_ra", "0")


def remove_link(name: str) -> None:
    """Idempotent."""
    with Socket() as sock:
        try:
            sock.send(rtnl.delete_link(name))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise


def open_sandbox(path: Path, wires: Sequence[Wire], routes: Sequence[Route], *, dns: bool) -> DnsSockets | None:
    """Make and pin the namespace, wire it, and (with `dns`) open the resolver's sockets in it."""

    def inside() -> tuple[Socket, DnsSockets | None]:
        sock = Socket()
        sock.send(rtnl.set_up(_LOOPBACK, link_local=True))
        return sock, DnsSockets.open_here() if dns else None

    sock, sockets = namespaces.create(path, inside)
    with sock:
        try:
            _wire(path, sock, wires, routes)
        except BaseException:
            if sockets:
                sockets.close()
            raise
    return sockets


def attach(path: Path, wire: Wire, routes: Sequence[Route]) -> None:
    """Add an interface to an open sandbox and set its default routes."""
    with namespaces.run_in(path, Socket) as sock:
        _wire(path, sock, [wire], routes)


def detach(path: Path, endpoint: Endpoint, routes: Sequence[Route]) -> None:
    """Take an interface away and set the default routes among those that remain."""
    remove_link(endpoint.host_interface)
    with namespaces.run_in(path, Socket) as sock:
        _route(sock, routes)


def close_sandbox(path: Path, host_interfaces: Sequence[str]) -> None:
    """Idempotent. The interfaces end with the namespace, in the kernel's own time: it collects many in one go, where a
    deletion one by one takes 30 ms each. Taken down, they are out of the bridge's way until then."""
    with Socket() as sock:
        for name in filter(None, host_interfaces):
            with suppress(OSError):
                sock.send(rtnl.set_down(name))
    namespaces.remove(path)


def _wire(path: Path, inside: Socket, wires: Sequence[Wire], routes: Sequence[Route]) -> None:
    if not wires:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with Socket() as host:
            for wire in wires:
                _pair(host, descriptor, wire)
    finally:
        os.close(descriptor)
    for wire in wires:
        _dress(path, inside, wire.endpoint)
    _route(inside, routes)


def _pair(host: Socket, namespace: int, wire: Wire) -> None:
    endpoint = wire.endpoint
    host.send(
        rtnl.new_veth(
            endpoint.host_interface,
            wire.bridge,
            wire.mtu,
            peer_name=endpoint.interface,
            peer_mac=endpoint.mac,
            peer_namespace=namespace,
        ),
        rtnl.set_up_port(endpoint.host_interface),
    )
    if wire.isolated and (port := rtnl.link(host, endpoint.host_interface)):
        host.send(rtnl.isolate(port.index))


def _dress(path: Path, inside: Socket, endpoint: Endpoint) -> None:
    found = rtnl.link(inside, endpoint.interface)
    assert found, f"{endpoint.interface} is missing in {path}"
    for name, value in endpoint.sysctls.items():
        file = name.replace("IFNAME", endpoint.interface)
        namespaces.run_in(path, lambda file=file, value=value: _sysctl(file, value))  # type: ignore[misc]
    addresses = [ip_interface(text) for text in (endpoint.ipv4, endpoint.ipv6) if text]
    inside.send(
        rtnl.set_up(found.index, link_local=bool(endpoint.ipv6)),
        *(rtnl.new_address(found.index, address) for address in addresses),
    )


def _route(inside: Socket, routes: Sequence[Route]) -> None:
    messages = []
    for route in routes:
        found = rtnl.link(inside, route.interface)
        assert found, f"{route.interface} is missing"
        messages.append(rtnl.default_route(route.gateway, found.index))
    if messages:
        inside.send(*messages)


def _sysctl(name: str, value: str) -> None:
    """Writes only what differs: /proc/sys may be read-only where everything is right already."""
    path = Path("/proc/sys") / name
    if path.read_text().strip() != value:
        path.write_text(value)
