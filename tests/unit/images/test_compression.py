"""Compressed streams: told by their first bytes, joined, and refused when damaged."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator

import pytest
import zstandard

from common.errors import InvalidArgument
from worker.images.compression import decompress, detect

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
PLAIN = bytes(range(256)) * 50


def unpack(data: bytes, chunk: int = 100) -> bytes:
    pieces: Iterator[bytes] = iter([data[start : start + chunk] for start in range(0, len(data), chunk)])
    return b"".join(decompress(next(pieces), pieces))


@pytest.mark.parametrize("name", PACKERS)
def test_round_trip(name: str) -> None:
    packed = PACKERS[name](PLAIN)
    assert detect(packed) == name
    assert unpack(packed) == PLAIN
    assert unpack(packed + packed) == PLAIN + PLAIN


def test_plain_passes_through() -> None:
    assert detect(PLAIN) == ""
    assert unpack(PLAIN) == PLAIN


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_truncated_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"the {name} data of the archive is damaged or truncated"):
        unpack(PACKERS[name](PLAIN)[:-10])


@pytest.mark.parametrize("name", PACKERS)
def test_a_bomb_comes_in_bounded_pieces(name: str) -> None:
    packed = PACKERS[name](bytes(4 << 20))
    pieces = iter([packed])
    assert max(len(piece) for piece in decompress(next(pieces), pieces)) <= 1 << 18
