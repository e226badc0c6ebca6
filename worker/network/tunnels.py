"""Tunnels in the kernel: one VXLAN device on the bridge of each of the cluster's networks that reaches other nodes.

Blocking: for pool threads. What goes into a tunnel is in forwarding.py; which tunnels there are is overlays.py's.
"""

from __future__ import annotations

import errno
from ipaddress import ip_address

import msgspec

from common.errors import Conflict
from worker.network import forwarding, plumbing, rtnl
from worker.network.forwarding import Forwarding
from worker.network.netlink import Socket

_OVERHEAD = {4: 50, 6: 70}  # bytes that a packet grows by, by the IP version between the hosts


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """`bridge` is an index, `local` the address at which this node takes packets in, at the UDP port `port`."""

    interface: str
    bridge: int
    vni: int
    port: int
    local: str
    mtu: int


def bring(tunnel: Tunnel, before: Forwarding | None, after: Forwarding) -> None:
    """Make the tunnel, or take over the one that is there, and bring its entries from `before` (None: from what the kernel
    has) to `after`. Raises Conflict where another device has its number."""
    with Socket() as sock:
        index = _make(sock, tunnel)
        if before is None:
            before = forwarding.read(sock, index)
        sock.send_many(forwarding.removals(index, before, after), ignore=(errno.ENOENT,))
        sock.send_many(forwarding.additions(index, before, after))


def remove(interface: str) -> None:
    """Idempotent."""
    plumbing.remove_link(interface)


def underlay_mtu(local: str, otherwise: int) -> int:
    """The largest packet inside a tunnel from this address on."""
    address = ip_address(local)
    with Socket() as sock:
        indices = [index for index, own in rtnl.addresses(sock) if own == address]
        name = rtnl.link_names(sock)[indices[0]] if indices else ""
        found = rtnl.link(sock, name) if name else None
    return found.mtu - _OVERHEAD[address.version] if found else otherwise


def _make(sock: Socket, tunnel: Tunnel) -> int:
    found = rtnl.vxlan(sock, tunnel.interface)
    if found and found[1:] != (tunnel.vni, tunnel.port, tunnel.local):
        plumbing.remove_link(tunnel.interface)
        found = None
    if found is None:
        _new(sock, tunnel)
        found = rtnl.vxlan(sock, tunnel.interface)
    assert found
    sock.send(
        rtnl.no_link_local(found[0]), rtnl.set_up_port(tunnel.interface, tunnel.bridge), rtnl.flood_no_unicast(found[0])
    )
    return found[0]


def _new(sock: Socket, tunnel: Tunnel) -> None:
    try:
        sock.send(
            rtnl.new_vxlan(
                tunnel.interface, tunnel.mtu, vni=tunnel.vni, port=tunnel.port, local=ip_address(tunnel.local)
            )
        )
    except FileExistsError:
        raise Conflict(
            f"another VXLAN device of this host has number {tunnel.vni} at port {tunnel.port}: "
            "form the cluster with another --data-path-port, or remove that device",
            ("interface", tunnel.interface),
        ) from None
