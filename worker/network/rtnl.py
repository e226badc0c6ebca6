"""The rtnetlink messages that the network needs: links, addresses, routes, and reading them back.

Pure: functions return messages for netlink.Socket, or decode its answers. Constants are those of <linux/rtnetlink.h>.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)

import msgspec

from worker.network.netlink import CREATE, EXCL, REPLACE, Message, Socket, attribute, attributes, nested, text, u8, u32

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR, _NEWROUTE, _GETROUTE = 20, 21, 22, 24, 26
_IFINFO = struct.Struct("=BxHiII")
_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 10, 18
_IFLA_NET_NS_FD, _IFLA_STATS64, _IFLA_AF_SPEC, _IFLA_PROTINFO = 28, 23, 26, 12
_NO_LINK_LOCAL = nested(_IFLA_AF_SPEC, nested(socket.AF_INET6, u8(8, 1)))  # IFLA_INET6_ADDR_GEN_MODE: none
_AF_BRIDGE, _BRPORT_ISOLATED = 7, 33
_NODAD = 0x02
_MAIN_TABLE = 254

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network


class Link(msgspec.Struct, frozen=True):
    """A network device as it is. `master` is the index of its bridge, 0 for none."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    master: int
    up: bool


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0, family: int = 0) -> bytes:
    return _IFINFO.pack(family, 0, index, flags, change)


def _mac(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def new_bridge(name: str, mac: str, mtu: int) -> Message:
    body = _ifinfo(flags=_UP, change=_UP) + text(_IFLA_IFNAME, name) + attribute(_IFLA_ADDRESS, _mac(mac))
    body += u32(_IFLA_MTU, mtu) + nested(_IFLA_LINKINFO, text(1, "bridge"))
    return Message(_NEWLINK, body, CREATE | EXCL)


def new_veth(host_name: str, master: int, mtu: int, *, peer_name: str, peer_mac: str, peer_namespace: int) -> Message:
    """A pair: one end on the bridge `master` of the socket's namespace, the other in the namespace of a descriptor."""
    peer = _ifinfo() + text(_IFLA_IFNAME, peer_name) + attribute(_IFLA_ADDRESS, _mac(peer_mac)) + u32(_IFLA_MTU, mtu)
    peer += u32(_IFLA_NET_NS_FD, peer_namespace)
    body = _ifinfo() + text(_IFLA_IFNAME, host_name) + u32(_IFLA_MTU, mtu) + u32(_IFLA_MASTER, master)
    body += nested(_IFLA_LINKINFO, text(1, "veth"), nested(2, attribute(1 | 0x8000, peer)))
    return Message(_NEWLINK, body, CREATE | EXCL)


def new_vxlan(name: str, mtu: int, *, vni: int, port: int, local: Address) -> Message:
    """A VXLAN device that learns nothing and answers for its neighbours itself."""
    data = u32(1, vni) + attribute(4 if local.version == 4 else 17, local.packed)
    data += u8(7, 0) + u8(11, 1) + attribute(15, port.to_bytes(2, "big"))  # no learning, proxy
    body = _ifinfo() + text(_IFLA_IFNAME, name) + u32(_IFLA_MTU, mtu)
    return Message(_NEWLINK, body + nested(_IFLA_LINKINFO, text(1, "vxlan"), nested(2, data)), CREATE | EXCL)


def no_link_local(index: int) -> Message:
    """For a link that is down yet."""
    return Message(_SETLINK, _ifinfo(index) + _NO_LINK_LOCAL)


def flood_no_unicast(index: int) -> Message:
    """Let a bridge port learn no addresses, and get what it is known to lead to, and broadcasts, only."""
    body = _ifinfo(index, family=_AF_BRIDGE) + nested(_IFLA_PROTINFO, u8(8, 0), u8(9, 0))
    return Message(_SETLINK, body)


def set_mac(index: int, mac: str) -> Message:
    return Message(_SETLINK, _ifinfo(index) + attribute(_IFLA_ADDRESS, _mac(mac)))


def set_up(index: int, *, link_local: bool = False) -> Message:
    return Message(_SETLINK, _ifinfo(index, _UP, _UP) + (b"" if link_local else _NO_LINK_LOCAL))


def set_up_port(name: str, master: int = 0) -> Message:
    """Bring a bridge port up (of the bridge `master`, which it then joins), without an IPv6 address of its own."""
    body = _ifinfo(flags=_UP, change=_UP) + text(_IFLA_IFNAME, name) + _NO_LINK_LOCAL
    return Message(_SETLINK, body + (u32(_IFLA_MASTER, master) if master else b""))


def set_down(name: str) -> Message:
    return Message(_SETLINK, _ifinfo(change=_UP) + text(_IFLA_IFNAME, name))


def isolate(index: int) -> Message:
    """Let a bridge port talk with the bridge itself only, not with other isolated ports."""
    body = _ifinfo(index, family=_AF_BRIDGE) + nested(_IFLA_PROTINFO, u8(_BRPORT_ISOLATED, 1))
    return Message(_SETLINK, body)


def delete_link(name: str) -> Message:
    return Message(_DELLINK, _ifinfo() + text(_IFLA_IFNAME, name))


def new_address(index: int, address: Interface) -> Message:
    """Idempotent. IPv6 addresses skip duplicate detection: the allocator made them unique, and a start must not wait for it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    flags = _NODAD if address.version == 6 else 0
    body = struct.pack("=BBBBi", family, address.network.prefixlen, flags, 0, index)
    body += attribute(2, address.ip.packed) + attribute(1, address.ip.packed)
    if isinstance(address, IPv4Interface) and address.network.prefixlen < 31:
        body += attribute(4, address.network.broadcast_address.packed)
    return Message(_NEWADDR, body, CREATE | REPLACE)


def delete_address(index: int, address: Interface) -> Message:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBi", family, address.network.prefixlen, 0, 0, index)
    return Message(_DELADDR, body + attribute(2, address.ip.packed) + attribute(1, address.ip.packed))


def default_route(gateway: Address, index: int) -> Message:
    """Replace the default route of the gateway's family."""
    family = socket.AF_INET if gateway.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _MAIN_TABLE, 3, 0, 1, 0)
    return Message(_NEWROUTE, body + attribute(5, gateway.packed) + u32(4, index), CREATE | REPLACE)


def link(sock: Socket, name: str) -> Link | None:
    payload = _get(sock, name)
    return _link(payload) if payload else None


def _get(sock: Socket, name: str) -> bytes | None:
    try:
        return sock.get(Message(_GETLINK, _ifinfo() + text(_IFLA_IFNAME, name)))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        return None


def _link(payload: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(payload)
    found = attributes(payload[_IFINFO.size :])
    info = attributes(found.get(_IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=found[_IFLA_IFNAME].rstrip(b"\0").decode(),
        kind=info.get(1, b"").rstrip(b"\0").decode(),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=int.from_bytes(found[_IFLA_MTU], "little"),
        master=int.from_bytes(found.get(_IFLA_MASTER, b""), "little"),
        up=bool(flags & _UP),
    )


def vxlan(sock: Socket, name: str) -> tuple[int, int, int, str] | None:
    """(index, number, port, local address) of a VXLAN device; None where there is no link of that name."""
    payload = _get(sock, name)
    if payload is None:
        return None
    info = attributes(attributes(payload[_IFINFO.size :]).get(_IFLA_LINKINFO, b""))
    data = attributes(info.get(2, b""))
    local = data.get(4) or data.get(17)
    number, port = int.from_bytes(data.get(1, b""), "little"), int.from_bytes(data.get(15, b""), "big")
    return _IFINFO.unpack_from(payload)[2], number, port, str(ip_address(local)) if local else ""


def peer_counters(sock: Socket, name: str) -> dict[str, int] | None:
    """The counters of a pair's other end, in the words of Docker's stats: what this end sends, the other receives."""
    payload = _get(sock, name)
    if payload is None:
        return None
    values = struct.unpack_from("=8Q", attributes(payload[_IFINFO.size :])[_IFLA_STATS64])
    words = ("tx_packets", "rx_packets", "tx_bytes", "rx_bytes", "tx_errors", "rx_errors", "tx_dropped", "rx_dropped")
    return dict(zip(words, values, strict=True))


def routed_subnets(sock: Socket) -> Iterator[Subnet]:
    """Destinations of the namespace's unicast routes, both families, without default routes."""
    for payload in sock.dump(Message(_GETROUTE, struct.pack("=BBBBBBBBI", 0, 0, 0, 0, 0, 0, 0, 0, 0))):
        length, table, kind = payload[1], payload[4], payload[7]
        destination = attributes(payload[12:]).get(1)
        if destination and kind == 1 and table == _MAIN_TABLE and length:
            address = ip_address(destination)
            if not address.is_link_local and not address.is_multicast:
                yield IPv4Network((destination, length)) if address.version == 4 else IPv6Network((destination, length))


def link_names(sock: Socket) -> dict[int, str]:
    """All links of the namespace: index → name."""
    found = (_link(payload) for payload in sock.dump(Message(_GETLINK, _ifinfo())))
    return {link.index: link.name for link in found}


def addresses(sock: Socket) -> Iterator[tuple[int, Address]]:
    """(link's index, address) of all global addresses of the namespace, both families."""
    return ((index, interface.ip) for index, interface in interfaces(sock))


def interfaces(sock: Socket) -> Iterator[tuple[int, Interface]]:
    """The same with their prefix lengths."""
    for payload in sock.dump(Message(_GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0))):
        _, length, _, scope, index = struct.unpack_from("=BBBBi", payload)
        found = attributes(payload[8:])
        if scope == 0:
            yield index, ip_interface((found.get(2) or found[1], length))  # IFA_LOCAL, where there is none IFA_ADDRESS
