"""SCTP packets by hand, for kernels that forward SCTP but offer programs none: an association's first two packets."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

INIT, INIT_ACK = 1, 2
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_COOKIE = struct.pack("!HH4s", 7, 8, b"cake")  # the parameter that an INIT ACK must have


class Packet(NamedTuple):
    source: int
    target: int
    tag: int  # verification tag: 0 for an INIT, elsewise what the other side asked for
    chunk: int
    initiate: int  # the tag that the sender asks for


def pack(packet: Packet) -> bytes:
    """A packet with one INIT or INIT ACK chunk (RFC 9260) and a right checksum."""
    more = _COOKIE if packet.chunk == INIT_ACK else b""
    chunk = struct.pack("!BBHIIHHI", packet.chunk, 0, 20 + len(more), packet.initiate, 65536, 1, 1, 1) + more
    head = struct.pack("!HHI", packet.source, packet.target, packet.tag)
    return head + struct.pack("<I", _crc32c(head + bytes(4) + chunk)) + chunk


def unpack(data: bytes) -> Packet:
    """Of what a raw socket received, with its IPv4 header. AssertionError where the checksum is wrong."""
    data = data[(data[0] & 15) * 4 :]
    source, target, tag, checksum = struct.unpack("!HHI4s", data[:12])
    assert checksum == struct.pack("<I", _crc32c(data[:8] + bytes(4) + data[12:])), "wrong checksum"
    return Packet(source, target, tag, data[12], struct.unpack("!I", data[16:20])[0])


def raw_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ _POLYNOMIAL * (crc & 1)
    return crc ^ 0xFFFFFFFF
