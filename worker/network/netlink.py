"""Netlink by hand: encoding of messages and attributes, and a blocking socket that sends them in batches.

A socket belongs to the network namespace in which its thread was when it was opened, whatever the thread does later.
Owns the framing only; what the messages mean is in rtnl.py (links, addresses, routes) and conntrack.py.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
EXCL, CREATE, REPLACE = 0x200, 0x400, 0x100

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_SOL_NETLINK, _CAP_ACK = 270, 10
_BUFFER = 1 << 18
_AT_ONCE = 200  # messages: the answers to more of them do not fit into a socket of the usual size


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + b"\0" * (-length % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, bytes((value,)))


def attributes(data: bytes) -> dict[int, bytes]:
    """Decode a run of attributes; of repeated ones the last wins."""
    found, offset = {}, 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


class Message:
    """A request: its type, flags beside REQUEST and ACK, and body."""

    __slots__ = ("body", "flags", "kind")

    def __init__(self, kind: int, body: bytes, flags: int = 0) -> None:
        self.kind, self.body, self.flags = kind, body, flags

    def pack(self, sequence: int, flags: int) -> bytes:
        data = _HEADER.pack(16 + len(self.body), self.kind, flags | self.flags, sequence, 0) + self.body
        return data + b"\0" * (-len(data) % 4)


class Socket:
    """A netlink socket of the calling thread's namespace. Blocking, for one thread at a time; closes with its `with`."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, *messages: Message) -> None:
        """Send all in one go and wait for every answer; raise OSError with the first error. Later messages are still done."""
        first = next(filter(None, self._exchange(messages)), 0)
        if first:
            raise OSError(first, os.strerror(first))

    def _exchange(self, messages: Sequence[Message]) -> list[int]:
        """Send all in one go; the error number of each, 0 where it is done."""
        self._socket.send(b"".join(m.pack(number, REQUEST | ACK) for number, m in enumerate(messages)))
        answers: list[int] = []
        while len(answers) < len(messages):
            answers += [-struct.unpack_from("=i", payload)[0] for kind, payload in self._receive() if kind == _ERROR]
        return answers

    def send_many(self, messages: Sequence[Message], ignore: Collection[int] = ()) -> None:
        """Send any number, in as few goes as the kernel's buffers for the answers allow; raise OSError with the first error that
        is not in `ignore`. All are done."""
        first = 0
        for start in range(0, len(messages), _AT_ONCE):
            for number in self._exchange(messages[start : start + _AT_ONCE]):
                if number and number not in ignore:
                    first = first or number
        if first:
            raise OSError(first, os.strerror(first))

    def dump(self, message: Message) -> Iterator[bytes]:
        """All answers' payloads of a dump request."""
        self._socket.send(message.pack(0, REQUEST | DUMP))
        while True:
            for kind, payload in self._receive():
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    raise OSError(number, os.strerror(number))
                yield payload

    def get(self, message: Message) -> bytes:
        """The one answer's payload of a get request. Raises OSError (ENODEV for a link that does not exist)."""
        self._socket.send(message.pack(0, REQUEST))
        for kind, payload in self._receive():
            if kind == _ERROR:
                number = -struct.unpack_from("=i", payload)[0]
                raise OSError(number, os.strerror(number))
            return payload
        raise OSError("netlink gave no answer")

    def _receive(self) -> Iterator[tuple[int, bytes]]:
        data, offset = self._socket.recv(_BUFFER), 0
        while offset + 16 <= len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
            yield kind, data[offset + 16 : offset + length]
            offset += (length + 3) & ~3
