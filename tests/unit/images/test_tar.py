"""The tar reader and writer against each other and against the standard library's."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InvalidArgument
from worker.images.tarformat import (
    BLOCK_DEVICE,
    FILE,
    FOLDER,
    HARD_LINK,
    SYMLINK,
    Entry,
    padding,
    trailer,
    write_header,
)
from worker.images.tarread import Source, read_entries


def written(entries: list[tuple[Entry, bytes]]) -> bytes:
    return b"".join(write_header(entry) + data + padding(len(data)) for entry, data in entries) + trailer()


def read(archive: bytes, chunk: int = 700) -> list[tuple[Entry, bytes]]:
    pieces = iter([archive[start : start + chunk] for start in range(0, len(archive), chunk)])
    return [(entry, b"".join(bytes(view) for view in data())) for entry, data in read_entries(Source(pieces))]


def test_writes_what_it_reads() -> None:
    entries = [
        (Entry("dir/", FOLDER, 0o1777, mtime=5), b""),
        (Entry("dir/file", FILE, 0o4755, 1000, 70000000, mtime=1700000000, size=3), b"abc"),
        (Entry("n" * 150 + "/é", FILE, xattrs={"user.a": b"\0\xff", "security.capability": b"x=y\n"}), b""),
        (Entry("link", SYMLINK, link="t" * 200), b""),
        (Entry("hard", HARD_LINK, link="dir/file"), b""),
        (Entry("dev", BLOCK_DEVICE, major=8, minor=1), b""),
    ]
    assert read(written(entries)) == entries


def test_the_standard_library_reads_it() -> None:
    archive = written([(Entry("ü" * 80, FILE, uid=1 << 22, size=600, xattrs={"user.x": b"1"}), b"z" * 600)])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.uid, member.size) == ("ü" * 80, 1 << 22, 600)
        assert member.pax_headers["SCHILY.xattr.user.x"] == "1"


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_reads_the_standard_librarys(kind: int) -> None:
    buffer = io.BytesIO()
    name = "folder" * 12 + "/" + "name" * 20 if kind == tarfile.USTAR_FORMAT else "long" * 60
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = 5, 1234567890
        tar.addfile(info, io.BytesIO(b"hello"))
    ((entry, data),) = read(buffer.getvalue())
    assert (entry.name, entry.mtime, data) == (name, 1234567890, b"hello")


def test_gnu_numbers_beyond_octal() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("x")
        info.uid, info.mtime = 1 << 30, -5
        tar.addfile(info)
    ((entry, _),) = read(buffer.getvalue())
    assert (entry.uid, entry.mtime) == (1 << 30, -5)


def test_unread_data_is_skipped() -> None:
    archive = written([(Entry("a", size=1000), b"a" * 1000), (Entry("b", size=1), b"b")])
    names = [entry.name for entry, _ in read_entries(Source(iter([archive])))]
    assert names == ["a", "b"]


def _pax(records: dict[str, str], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("x")
        info.type, info.pax_headers = kind, records
        tar.addfile(info)
    return buffer.getvalue()


def _bad_checksum() -> bytes:
    return b"y" + written([(Entry("x"), b"")])[1:]


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"\x01" * 512, "no tar"),
        (b"short", "truncated"),
        (_bad_checksum(), "checksum"),
        (written([(Entry("x", size=2000), b"d" * 2000)])[:1024], "truncated"),
        (_pax({"GNU.sparse.major": "1"}), "sparse"),
        (_pax({}, tarfile.GNUTYPE_SPARSE), "sparse"),
        (_pax({}, b"V"), "not supported"),
        (_pax({"uid": "-1"}), "no number"),
        (_pax({"uid": str(1 << 40)}), "impossible uid"),
        (_pax({"size": str(1 << 63)}), "impossible size"),
        (_pax({"path": "p" * 5000}), "no file can have"),
        (_pax({"comment": "c" * (2 << 20)}), "extended header"),
    ],
)
def test_refused(archive: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        read(archive)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=1500))
def test_garbage_is_refused_or_read(garbage: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield garbage

    with suppress(InvalidArgument):
        assert len(list(read_entries(Source(chunks())))) <= 2


_NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=120
)


@settings(max_examples=50, deadline=None)
@given(_NAMES, st.binary(max_size=600), st.dictionaries(st.sampled_from(["user.a", "user.b"]), st.binary(max_size=200)))
def test_any_file_round_trips(name: str, data: bytes, xattrs: dict[str, bytes]) -> None:
    entry = Entry(name, size=len(data), xattrs=xattrs)
    assert read(written([(entry, data)])) == [(entry, data)]
