"""The work on one layer's bytes, from a stream to a folder and a blob, with both digests. Runs in child processes."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import InvalidArgument
from worker.images.applier import Applier, Options
from worker.images.compression import CHUNK, decompress, detect
from worker.images.syscalls import syncfs
from worker.images.tarread import Source

GZIP_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
_START = 16  # bytes


class LayerResult(NamedTuple):
    """What a layer turned out to be. `digest`, `blob_size`, `media_type` are of the blob, `diff_id` and `size` of the plain tar's files."""

    diff_id: str
    digest: str
    media_type: str
    blob_size: int
    size: int
    entries: int


class BlobWriter:
    """A new file for a blob, with its digest and size; the caller renames or removes it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._hash.update(data)
        self.size += len(data)

    def finish(self) -> str:
        os.fsync(self._file)
        os.close(self._file)
        return "sha256:" + self._hash.hexdigest()


def make_layer(chunks: Iterator[bytes], folder: Path, blob: Path, options: Options) -> LayerResult:
    """Extract a layer (of any compression) into the new `folder` and keep its bytes as the new file `blob`.

    gzip and zstd bytes are kept as they come; others are kept as gzip. Both are on the disk when this returns.
    """
    start = first_bytes(chunks)
    kept = {"gzip": GZIP_LAYER, "zstd": ZSTD_LAYER}.get(detect(start))
    writer = BlobWriter(blob)
    digest = hashlib.sha256()
    raw = _tee(chunks, writer.write)
    if kept:
        plain = decompress(start, raw)
        writer.write(start)
    else:
        squeeze = _gzip_writer(writer)
        plain = _tee(decompress(start, chunks), squeeze)
    applier = apply_stream(_tee(plain, digest.update), folder, options)
    if kept:
        deque(raw, maxlen=0)  # bytes behind the compressed stream's end belong to the blob
    else:
        squeeze(b"")
    blob_digest = writer.finish()
    return LayerResult(
        "sha256:" + digest.hexdigest(), blob_digest, kept or GZIP_LAYER, writer.size, applier.size, applier.entries
    )


def read_layer(chunks: Iterator[bytes], folder: Path, options: Options) -> LayerResult:
    """Extract a layer (of any compression) whose blob is kept by somebody else."""
    start = first_bytes(chunks)
    tally = _Tally()
    tally.write(start)
    raw = _tee(chunks, tally.write)
    digest = hashlib.sha256()
    applier = apply_stream(_tee(decompress(start, raw), digest.update), folder, options)
    deque(raw, maxlen=0)  # bytes behind the compressed stream's end belong to the blob
    kind = {"gzip": GZIP_LAYER, "zstd": ZSTD_LAYER}.get(detect(start), PLAIN_LAYER)
    diff_id = "sha256:" + digest.hexdigest()
    return LayerResult(diff_id, tally.digest, kind, tally.size, applier.size, applier.entries)


class _Tally:
    """Digest and size of what passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


def follow(path: Path, announcements: int) -> Iterator[bytes]:
    """The bytes of a file that still grows: lines on the descriptor `announcements` say how many there are, its end that these are all."""
    with open(path, "rb", buffering=0) as file, open(announcements, "rb", buffering=0, closefd=False) as lines:
        position, text = 0, b""
        while told := lines.read(4096):
            text = (text + told)[-64:]
            whole = text.rpartition(b"\n")[0].rpartition(b"\n")[2]
            while position < int(whole or 0):
                if not (data := file.read(min(CHUNK, int(whole) - position))):
                    raise InvalidArgument("the blob is shorter than what was told of it")
                position += len(data)
                yield data
        os.fsync(file.fileno())


def apply_stream(plain: Iterator[bytes], folder: Path, options: Options, *, new: bool = True) -> Applier:
    """Extract a plain tar into the (new) `folder`, which is on the disk when this returns."""
    if new:
        folder.mkdir(mode=0o755)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Applier(root, options) as applier:
            applier.apply(Source(plain))
        syncfs(root)
    finally:
        os.close(root)
    return applier


def read_chunks(file: int) -> Iterator[bytes]:
    while data := os.read(file, CHUNK):
        yield data


def first_bytes(chunks: Iterator[bytes]) -> bytes:
    """Enough bytes to tell a compression by."""
    start = b""
    while len(start) < _START and (more := next(chunks, b"")):
        start += more
    if not start:
        raise InvalidArgument("the archive is empty")
    return start


def _tee(chunks: Iterator[bytes], sink: Callable[[bytes], Any]) -> Iterator[bytes]:
    for chunk in chunks:
        sink(chunk)
        yield chunk


def _gzip_writer(writer: BlobWriter) -> Callable[[bytes], None]:
    """A function that compresses what it is given into `writer`; b"" ends the stream."""
    from isal import isal_zlib

    codec = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def write(data: bytes) -> None:
        packed = codec.compress(data) if data else codec.flush()
        if packed:
            writer.write(packed)

    return write
