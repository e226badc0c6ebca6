"""Forgetting tracked UDP flows whose backend is gone: without that, a client's datagrams go on to the old address.

TCP needs none of this: a connection ends with its backend, and a new one is balanced anew. Blocking: for pool threads.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection
from contextlib import suppress

from worker.network.netlink import NETLINK_NETFILTER, Message, Socket, attributes, nested

_GET, _DELETE = 0x101, 0x102  # IPCTNL_MSG_CT_GET and _DELETE of subsystem 1
_TUPLE_ORIG, _TUPLE_REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_SOURCE = {socket.AF_INET: 1, socket.AF_INET6: 3}
_HEADER = struct.Struct(">BBH")


def forget_udp(backends: Collection[str]) -> None:
    """Delete the calling thread's namespace's UDP flows that are answered from one of these addresses."""
    if not backends:
        return
    wanted = {_packed(address) for address in backends}
    with Socket(NETLINK_NETFILTER) as sock:
        found = [
            (payload[0], attributes(payload[4:])[_TUPLE_ORIG])
            for payload in sock.dump(Message(_GET, _HEADER.pack(socket.AF_UNSPEC, 0, 0)))
            if _is_udp_from(payload, wanted)
        ]
        for family, original in found:
            with suppress(FileNotFoundError):  # it ended by itself
                sock.send(Message(_DELETE, _HEADER.pack(family, 0, 0) + nested(_TUPLE_ORIG, original)))


def _is_udp_from(payload: bytes, sources: Collection[bytes]) -> bool:
    reply = attributes(attributes(payload[4:]).get(_TUPLE_REPLY, b""))
    protocol = attributes(reply.get(_TUPLE_PROTO, b"")).get(1, b"\0")[0]
    source = attributes(reply.get(_TUPLE_IP, b"")).get(_SOURCE.get(socket.AddressFamily(payload[0]), 0))
    return protocol == socket.IPPROTO_UDP and source in sources


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
