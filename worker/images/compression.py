"""Compression of archives, told from their first bytes: gzip, zstd, bzip2, xz or none.

Runs in child processes. Codecs are imported when a stream needs them. All output comes in bounded pieces, so that a
bomb costs time and, at its reader's limit, an error, but never memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from common.errors import InvalidArgument

CHUNK = 1 << 18


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Chunks(io.RawIOBase):
    """An iterator of chunks as the file that codecs read from."""

    def __init__(self, start: bytes, chunks: Iterator[bytes]) -> None:
        self._buffer = start
        self._chunks = chunks

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self._buffer = self._buffer or next(self._chunks, b"")
        part = self._buffer[: len(buffer)]
        self._buffer = self._buffer[len(part) :]
        buffer[: len(part)] = part
        return len(part)


_Opened = tuple[_Readable, type[Exception]]  # a codec's reader and what it raises on bad data beside EOFError


def _gzip(source: io.RawIOBase) -> _Opened:
    from isal import igzip, isal_zlib

    codec: Any = igzip  # isal ships no complete annotations
    failures: Any = isal_zlib
    return codec.GzipFile(fileobj=io.BufferedReader(source, CHUNK), mode="rb"), failures.error


def _zstd(source: io.RawIOBase) -> _Opened:
    import zstandard

    codec = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    return codec.stream_reader(io.BufferedReader(source, CHUNK), read_across_frames=True), zstandard.ZstdError


def _bzip2(source: io.RawIOBase) -> _Opened:
    import bz2

    return bz2.BZ2File(io.BufferedReader(source, CHUNK)), ValueError


def _xz(source: io.RawIOBase) -> _Opened:
    import lzma

    return lzma.LZMAFile(io.BufferedReader(source, CHUNK)), lzma.LZMAError


_CODECS: dict[str, tuple[bytes, Callable[[io.RawIOBase], _Opened]]] = {
    "gzip": (b"\x1f\x8b", _gzip),
    "zstd": (b"\x28\xb5\x2f\xfd", _zstd),
    "bzip2": (b"BZh", _bzip2),
    "xz": (b"\xfd7zXZ\0", _xz),
}


def detect(start: bytes) -> str:
    """The name of the compression that a stream beginning with `start` has; empty for none."""
    return next((name for name, (magic, _) in _CODECS.items() if start.startswith(magic)), "")


def decompress(start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The plain bytes of `start` followed by `chunks`. Raises InvalidArgument on a damaged or truncated stream."""
    name = detect(start)
    if not name:
        if start:
            yield start
        yield from chunks
        return
    reader, failure = _CODECS[name][1](_Chunks(start, chunks))
    while data := _step(name, reader, failure):
        yield data


def _step(name: str, reader: _Readable, failure: type[Exception]) -> bytes:
    try:
        return reader.read(CHUNK)
    except InvalidArgument:
        raise
    except (failure, EOFError) as error:
        raise _damaged(name, error) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> InvalidArgument:
    return InvalidArgument(f"the {name} data of the archive is damaged or truncated: {error}")
