"""What a node's kernel has to know to reach containers on other nodes, and the netlink messages that bring it there. Pure.

A tunnel (VXLAN device) learns nothing and floods nothing. For each peer it has a forwarding entry (MAC address → host), the
bridge one that leads the MAC address to the tunnel, and the tunnel a neighbour entry (IP address → MAC address) from which it
answers ARP and neighbour solicitations in the peer's place.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import msgspec

from common.wire import Peer
from worker.network.netlink import CREATE, REPLACE, Message, Socket, attribute, attributes

_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_NDMSG = struct.Struct("=BxxxiHBB")  # family, interface, state, flags, type
_AF_BRIDGE = 7
_DST, _LLADDR = 1, 2
_STATIC = 0x40 | 0x02  # NOARP, REACHABLE: never asked for, never aged; for the bridge it is not an address of its own
_PERMANENT = 0x80
_SELF, _MASTER = 0x02, 0x04


class Forwarding(msgspec.Struct, frozen=True):
    """`stations`: MAC address → host; `neighbours`: IP address → MAC address."""

    stations: dict[str, str] = {}
    neighbours: dict[str, str] = {}


def wanted(peers: Iterable[Peer]) -> Forwarding:
    """Containers' MAC addresses follow from the first of their IP addresses, as live.py gives them."""
    stations, neighbours = {}, {}
    for peer in peers:
        if not peer.addresses:
            continue
        mac = _mac_of(min(peer.addresses, key=_family))
        stations[mac] = peer.host
        neighbours.update(dict.fromkeys(peer.addresses, mac))
    return Forwarding(stations, neighbours)


def additions(index: int, before: Forwarding, after: Forwarding) -> list[Message]:
    """What is new or different, for the tunnel `index`. Idempotent."""
    stations = (_station(index, mac, host) for mac, host in after.stations.items() if before.stations.get(mac) != host)
    neighbours = (
        _neighbour(index, ip, mac) for ip, mac in after.neighbours.items() if before.neighbours.get(ip) != mac
    )
    return [*stations, *neighbours]


def removals(index: int, before: Forwarding, after: Forwarding) -> list[Message]:
    """What is gone. Parts of it may be gone already."""
    return [
        *(m for mac in before.stations if mac not in after.stations for m in _no_station(index, mac)),
        *(_no_neighbour(index, ip) for ip in before.neighbours if ip not in after.neighbours),
    ]


def read(sock: Socket, index: int) -> Forwarding:
    """What the tunnel has now. A station that only one of tunnel and bridge knows is shown with the host "" or not at all, so
    that it differs from any that is wanted."""
    hosts: dict[str, str] = {}
    bridged = set()
    for flags, found in _entries(sock, _AF_BRIDGE, index):
        mac = found[_LLADDR].hex(":")
        if _DST in found:
            hosts[mac] = str(ip_address(found[_DST]))
        elif flags & _MASTER or not flags & _SELF:
            bridged.add(mac)
    stations = {mac: host if mac in bridged else "" for mac, host in hosts.items()}
    neighbours = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        for _, found in _entries(sock, family, index):
            if _LLADDR in found:
                neighbours[str(ip_address(found[_DST]))] = found[_LLADDR].hex(":")
    return Forwarding(stations, neighbours)


def _entries(sock: Socket, family: int, index: int) -> Iterator[tuple[int, dict[int, bytes]]]:
    """(flags, attributes) of the interface's entries that were made by hand."""
    for payload in sock.dump(Message(_GETNEIGH, _NDMSG.pack(family, 0, 0, 0, 0))):
        _, interface, state, flags, _ = _NDMSG.unpack_from(payload)
        if interface == index and state & (_STATIC | _PERMANENT):
            yield flags, attributes(payload[_NDMSG.size :])


def _station(index: int, mac: str, host: str) -> Message:
    body = _NDMSG.pack(_AF_BRIDGE, index, _STATIC, _SELF | _MASTER, 0)
    return Message(_NEWNEIGH, body + attribute(_LLADDR, _mac(mac)) + attribute(_DST, _ip(host)), CREATE | REPLACE)


def _no_station(index: int, mac: str) -> Iterator[Message]:
    for where in (_SELF, _MASTER):
        body = _NDMSG.pack(_AF_BRIDGE, index, _STATIC, where, 0)
        yield Message(_DELNEIGH, body + attribute(_LLADDR, _mac(mac)))


def _neighbour(index: int, ip: str, mac: str) -> Message:
    body = _NDMSG.pack(_family(ip), index, _PERMANENT, 0, 0)
    return Message(_NEWNEIGH, body + attribute(_DST, _ip(ip)) + attribute(_LLADDR, _mac(mac)), CREATE | REPLACE)


def _no_neighbour(index: int, ip: str) -> Message:
    body = _NDMSG.pack(_family(ip), index, _PERMANENT, 0, 0)
    return Message(_DELNEIGH, body + attribute(_DST, _ip(ip)))


def _mac_of(ip: str) -> str:
    """As ipam.mac_of, without making objects for very many."""
    return "02:42:" + _ip(ip)[-4:].hex(":")


def _family(ip: str) -> int:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _ip(ip: str) -> bytes:
    return socket.inet_pton(_family(ip), ip)


def _mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
