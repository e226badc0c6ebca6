"""Reading tar archives from a stream of bytes: ustar, pax and GNU; sparse files are refused. No file system here.

Archives come from anybody: whatever is not a sound tar raises InvalidArgument. Standard library only: child processes import this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common.errors import InvalidArgument
from worker.images.tarformat import (
    BLOCK,
    BLOCK_DEVICE,
    CHAR,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    PAX,
    SYMLINK,
    XATTR,
    Entry,
)

_CONTIGUOUS, _OLD_FILE = b"7", b"\0"
_GLOBAL_PAX, _LONG_NAME, _LONG_LINK = b"g", b"L", b"K"
_KNOWN = frozenset((FILE, HARD_LINK, SYMLINK, CHAR, BLOCK_DEVICE, FOLDER, FIFO))
_MAX_EXTENDED = 1 << 20  # bytes of one extended header
_MAX_PATH = 4095  # bytes, the kernel's PATH_MAX without its zero
_MAX_ID = (1 << 32) - 2
_MAX_SIZE = 1 << 62
_MAX_DEVICE = (1 << 20) - 1

Data = Callable[[], Iterator[memoryview]]


class Source:
    """Reads exact amounts from an iterator of chunks; `data` of an entry must be drained before the next header."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = memoryview(b"")

    def _fill(self) -> bool:
        self._buffer = memoryview(next(self._chunks, b""))
        return bool(self._buffer)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; less only at the end of the stream."""
        if len(self._buffer) >= size:
            data = bytes(self._buffer[:size])
            self._buffer = self._buffer[size:]
            return data
        parts = []
        while size > 0 and (self._buffer or self._fill()):
            part = self._buffer[:size]
            self._buffer = self._buffer[len(part) :]
            parts.append(bytes(part))
            size -= len(part)
        return b"".join(parts)

    def views(self, size: int) -> Iterator[memoryview]:
        """Exactly `size` bytes in pieces. Raises InvalidArgument where the stream ends too early."""
        while size > 0:
            if not self._buffer and not self._fill():
                raise InvalidArgument("the archive ends in the middle of a file: it is truncated")
            part = self._buffer[:size]
            self._buffer = self._buffer[len(part) :]
            size -= len(part)
            yield part

    def drain(self) -> None:
        while self._fill():
            pass


def read_entries(source: Source) -> Iterator[tuple[Entry, Data]]:
    """Entries in order, each with a function that gives its data. Raises InvalidArgument on what is no sound tar.

    The whole stream is consumed, so that a digest over it is complete.
    """
    global_records: dict[bytes, bytes] = {}
    records: dict[bytes, bytes] = {}
    while header := _next_header(source):
        kind, size = header[156:157], _number(header[124:136])
        if kind in (PAX, _GLOBAL_PAX, _LONG_NAME, _LONG_LINK):
            target = global_records if kind == _GLOBAL_PAX else records
            target.update(_extended(source, kind, size))
            continue
        entry = _entry(header, {**global_records, **records})
        records = {}
        unread = _Data(source, entry.size)
        yield entry, unread.views
        unread.skip()
    source.drain()


class _Data:
    """An entry's data, followed by its padding, whether its reader took it or not."""

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._left = size
        self._padding = -size % BLOCK

    def views(self) -> Iterator[memoryview]:
        for view in self._source.views(self._left):
            self._left -= len(view)
            yield view

    def skip(self) -> None:
        for _ in self.views():
            pass
        self._source.read(self._padding)


def _next_header(source: Source) -> bytes:
    """The next header block; empty at the end of the archive."""
    header = source.read(BLOCK)
    if not header or header.count(0) == BLOCK:
        return b""
    if len(header) < BLOCK:
        raise InvalidArgument("the archive ends in the middle of a header: it is truncated")
    total = sum(header) - sum(header[148:156]) + 8 * 32
    if total != _number(header[148:156]):
        raise InvalidArgument("the archive is no tar: the checksum of a header is wrong")
    return header


def _number(text: bytes) -> int:
    """A header's number: octal digits, or base 256 where its first bit is set (GNU)."""
    if text[0] & 0x80:
        value = int.from_bytes(text, "big", signed=True)
        return value if text[0] == 0xFF else value + (1 << (8 * len(text) - 1))
    digits = text.strip(b" \0").split(b"\0")[0]
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise InvalidArgument("the archive is no tar: a header holds no number where one must be") from None


def _extended(source: Source, kind: bytes, size: int) -> dict[bytes, bytes]:
    if not 0 <= size <= _MAX_EXTENDED:
        raise InvalidArgument(f"the archive has an extended header of {size} bytes; {_MAX_EXTENDED} are allowed")
    data = b"".join(bytes(view) for view in source.views(size))
    source.read(-size % BLOCK)
    if kind == _LONG_NAME:
        return {b"path": data.split(b"\0")[0]}
    if kind == _LONG_LINK:
        return {b"linkpath": data.split(b"\0")[0]}
    return dict(_pax_records(data))


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """ "length key=value\\n" records."""
    position = 0
    while position < len(data):
        digits, space, _ = data[position : position + 20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[position + len(digits) + 1 : position + length]
        key, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or position + length > len(data):
            raise InvalidArgument("the archive has a broken extended (pax) header")
        yield key, value[:-1]
        position += length


def _entry(header: bytes, records: dict[bytes, bytes]) -> Entry:
    if any(key.startswith(b"GNU.sparse") for key in records) or header[156:157] == b"S":
        raise InvalidArgument("the archive holds a sparse file, which is not supported: write it without --sparse")
    kind = FILE if header[156:157] in (_OLD_FILE, _CONTIGUOUS) else header[156:157]
    name = _text(records.get(b"path") or _header_name(header))
    if kind == FILE and header[156:157] == _OLD_FILE and name.endswith("/"):
        kind = FOLDER  # archives older than ustar
    if kind not in _KNOWN:
        raise InvalidArgument(f"the archive's entry {name!r} has the type {kind!r}, which is not supported")
    device = kind in (CHAR, BLOCK_DEVICE)
    return Entry(
        name=name,
        type=kind,
        mode=_number(header[100:108]) & 0o7777,
        uid=_value(records, b"uid", header[108:116], _MAX_ID),
        gid=_value(records, b"gid", header[116:124], _MAX_ID),
        mtime=_time(records, header[136:148]),
        size=_value(records, b"size", header[124:136], _MAX_SIZE) if kind == FILE else 0,
        link=_text(records.get(b"linkpath") or header[157:257].split(b"\0")[0]),
        major=_value({}, b"device", header[329:337], _MAX_DEVICE) if device else 0,
        minor=_value({}, b"device", header[337:345], _MAX_DEVICE) if device else 0,
        xattrs=_xattrs(records) if records else {},
    )


def _header_name(header: bytes) -> bytes:
    name = header[0:100].split(b"\0")[0]
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _text(name: bytes) -> str:
    if len(name) > _MAX_PATH or b"\0" in name:
        raise InvalidArgument(f"the archive has a name that no file can have: {name[:60]!r}…")
    return name.decode("utf-8", "surrogateescape")


def _value(records: dict[bytes, bytes], key: bytes, digits: bytes, limit: int) -> int:
    given = records.get(key)
    if given and not given.isdigit():
        raise InvalidArgument(f"the archive's extended header has no number for {key.decode()!r}")
    value = int(given) if given else _number(digits)
    if not 0 <= value <= limit:
        raise InvalidArgument(f"the archive has an impossible {key.decode()}: {value}")
    return value


def _time(records: dict[bytes, bytes], digits: bytes) -> float:
    try:
        value = float(records[b"mtime"]) if records.get(b"mtime") else float(_number(digits))
    except ValueError:
        raise InvalidArgument("the archive's extended header has no number for 'mtime'") from None
    return min(max(value, -(1 << 33)), 1 << 34)


def _xattrs(records: dict[bytes, bytes]) -> dict[str, bytes]:
    prefix = XATTR.encode()
    return {key[len(prefix) :].decode(): value for key, value in records.items() if key.startswith(prefix)}
