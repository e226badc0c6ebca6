"""DNS messages by hand (RFC 1035, RFC 6891): reading a query, writing an answer. Pure, and safe against any bytes.

Only what an embedded resolver needs: one question in, address or name records out. Everything else is passed on unread.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import msgspec

A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
UDP_LIMIT = 512  # bytes, where the client names no other
_EDNS_LIMIT = 1232
_HEADER = struct.Struct(">6H")
_QUESTION = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_TO_QUESTION = b"\xc0\x0c"  # a compression pointer to the question's name


class Query(msgspec.Struct, frozen=True):
    """A question: `name` in lower case without the last dot; `question` as it came; `limit` for answers by UDP."""

    id: int
    flags: int
    name: str
    kind: int
    question: bytes
    limit: int = UDP_LIMIT
    edns: bool = False


class Malformed(Exception):
    """Not a query that can be answered by more than `answer` (empty: by nothing)."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("malformed DNS query")
        self.answer = answer


def parse_query(data: bytes) -> Query:
    """Raises Malformed."""
    if len(data) < _HEADER.size:
        raise Malformed(b"")
    id, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & 0x8000:
        raise Malformed(b"")  # an answer: answering it could go on for ever
    if flags & 0x7800:
        raise Malformed(_bare(id, flags, NOTIMP))
    if questions != 1 or answers or authorities:
        raise Malformed(_bare(id, flags, FORMERR))
    try:
        name, end = _name(data, _HEADER.size)
        kind, class_ = _QUESTION.unpack_from(data, end)
    except (IndexError, struct.error, ValueError):
        raise Malformed(_bare(id, flags, FORMERR)) from None
    end += _QUESTION.size
    if class_ not in (1, 255):
        raise Malformed(_bare(id, flags, NOTIMP))
    limit = _edns_limit(data, end) if additional else 0
    return Query(id, flags, name, kind, data[_HEADER.size : end], max(limit, UDP_LIMIT), bool(limit))


def answer(query: Query, records: Sequence[tuple[int, bytes]], *, ttl: int, rcode: int = NOERROR, udp: bool) -> bytes:
    """An authoritative answer. `records`: (type, data) about the question's name.

    What does not fit a datagram is left out and marked so: a client without TCP makes do with the rest.
    """
    tail = b"\0" + _RECORD.pack(OPT, _EDNS_LIMIT, 0, 0) if query.edns else b""
    left = (query.limit if udp else 65535) - _HEADER.size - len(query.question) - len(tail)
    body, count = b"", 0
    for kind, data in records:
        record = _TO_QUESTION + _RECORD.pack(kind, 1, ttl, len(data)) + data
        if len(body) + len(record) > left:
            break
        body, count = body + record, count + 1
    flags = 0x8480 | (query.flags & 0x0110) | rcode | (0x0200 if count < len(records) else 0)
    return _HEADER.pack(query.id, flags, 1, count, 0, int(query.edns)) + query.question + body + tail


def address_record(address: IPv4Address | IPv6Address) -> tuple[int, bytes]:
    return (A if address.version == 4 else AAAA), address.packed


def name_record(name: str) -> tuple[int, bytes]:
    """A PTR record's data. Names that do not fit DNS are cut to what fits."""
    labels = [label.encode("utf-8", "replace")[:63] for label in name.split(".") if label]
    return PTR, b"".join(bytes((len(label),)) + label for label in labels)[:254] + b"\0"


def reverse_address(name: str) -> IPv4Address | IPv6Address | None:
    """ "2.0.17.172.in-addr.arpa" → 172.17.0.2; None for every other name."""
    labels = name.split(".")
    try:
        if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
            return IPv4Address(".".join(reversed(labels[:4])))
        if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34 and all(len(digit) == 1 for digit in labels[:32]):
            digits = "".join(reversed(labels[:32]))
            return IPv6Address(int(digits, 16).to_bytes(16, "big"))
    except ValueError:
        return None
    return None


def matches(query: bytes, response: bytes) -> bool:
    """True where `response` answers `query`: same id, same question. Guards against forged and late packets."""
    if len(response) < _HEADER.size or response[:2] != query[:2] or not response[2] & 0x80:
        return False
    if response[4:6] == b"\0\0":
        return True  # errors may come without the question
    try:
        _, end = _name(query, _HEADER.size)
        _, other = _name(response, _HEADER.size)
    except (IndexError, ValueError):
        return False
    return query[_HEADER.size : end + 4].lower() == response[_HEADER.size : other + 4].lower()


def rcode(response: bytes) -> int:
    return response[3] & 0x0F


def _name(data: bytes, offset: int) -> tuple[str, int]:
    """A name without compression, and where it ends. Raises ValueError, IndexError."""
    labels, start = [], offset
    while length := data[offset]:
        if length > 63 or offset + length >= len(data) or offset + length - start > 253:
            raise ValueError("bad label")
        labels.append(data[offset + 1 : offset + 1 + length])
        offset += 1 + length
    # A dot inside a label must not read as two labels.
    return ".".join(label.decode("latin-1").lower().replace(".", "\\.") for label in labels), offset + 1


def _edns_limit(data: bytes, offset: int) -> int:
    """The answer size of an OPT record right behind the question, 0 where there is none."""
    try:
        root, (kind, size, _, _) = data[offset], _RECORD.unpack_from(data, offset + 1)
    except (IndexError, struct.error):
        return 0
    return min(max(size, UDP_LIMIT), 4096) if root == 0 and kind == OPT else 0


def _bare(id: int, flags: int, rcode: int) -> bytes:
    return _HEADER.pack(id, 0x8080 | (flags & 0x7900) | rcode, 0, 0, 0, 0)
