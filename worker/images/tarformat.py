"""The tar format: what an entry is, and how it is written. Reading is worker/images/tarread.py's.

Writes ustar headers, with a pax header where a value needs one. Child processes import this: nothing but light
modules of the standard library.
"""

from __future__ import annotations

from typing import NamedTuple

BLOCK = 512
FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, FOLDER, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
PAX = b"x"
XATTR = "SCHILY.xattr."

_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777


class Entry(NamedTuple):
    """One member. Names are file system texts (surrogateescape); `mtime` in seconds; `mode` holds permission bits only."""

    name: str
    type: bytes = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    size: int = 0
    link: str = ""
    major: int = 0
    minor: int = 0
    xattrs: dict[str, bytes] = {}


def write_header(entry: Entry) -> bytes:
    """The header blocks of an entry; its data, padded to whole blocks, must follow."""
    name = _encode(entry.name)
    link = _encode(entry.link)
    records = {XATTR.encode() + key.encode(): value for key, value in entry.xattrs.items()}
    if len(name) > 100 or not name.isascii():
        records[b"path"] = name
    if len(link) > 100 or not link.isascii():
        records[b"linkpath"] = link
    for key, value, limit in (
        ("uid", entry.uid, _MAX_ID),
        ("gid", entry.gid, _MAX_ID),
        ("size", entry.size, _MAX_SIZE),
    ):
        if value > limit:
            records[key.encode()] = str(value).encode()
    if not records:
        return _block(entry, entry.type, name, link, entry.size)
    data = b"".join(_pax_record(key, value) for key, value in records.items())
    pax = _block(entry, PAX, b"PaxHeaders/" + name[-80:], b"", len(data))
    return pax + data + padding(len(data)) + _block(entry, entry.type, name, link, entry.size)


def padding(size: int) -> bytes:
    """The zeroes that must follow `size` bytes of data."""
    return bytes(-size % BLOCK)


def trailer() -> bytes:
    return bytes(2 * BLOCK)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _block(entry: Entry, kind: bytes, name: bytes, link: bytes, size: int) -> bytes:
    block = b"".join(
        (
            name[:100].ljust(100, b"\0"),
            b"%07o\0" % (entry.mode & 0o7777),
            b"%07o\0" % min(entry.uid, _MAX_ID),
            b"%07o\0" % min(entry.gid, _MAX_ID),
            b"%011o\0" % min(size, _MAX_SIZE),
            b"%011o\0" % min(max(int(entry.mtime), 0), _MAX_SIZE),
            b" " * 8,
            kind,
            link[:100].ljust(100, b"\0"),
            b"ustar\x0000".ljust(72, b"\0"),
            b"%07o\0" % entry.major,
            b"%07o\0" % entry.minor,
        )
    ).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax_record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) != len(str(len(rest))):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest
