"""Paths of `docker cp`: resolved inside the root, named as Docker's clients expect."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import InvalidArgument, NotFound
from worker.images.containerpath import describe, get, go_mode, resolve
from worker.images.tarread import Source, read_entries


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "file").write_text("abc")
    (tmp_path / "abs").symlink_to("/etc")
    (tmp_path / "up").symlink_to("../../../../etc/file")
    (tmp_path / "gone").symlink_to("/nowhere/x")
    (tmp_path / "loop").symlink_to("loop")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/etc/file", "/etc/file"),
        ("abs/file", "/etc/file"),
        ("/up", "/etc/file"),
        ("/gone", "/nowhere/x"),
        ("/../../etc/../etc", "/etc"),
        ("/missing/../x", "/x"),
    ],
)
def test_resolve(root: int, path: str, place: str) -> None:
    assert resolve(root, path) == place


def test_a_loop_of_links_ends(root: int) -> None:
    with pytest.raises(InvalidArgument, match="too many symbolic links"):
        resolve(root, "/loop")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/etc", ["etc/", "etc/file"]),
        ("/etc/", ["etc/", "etc/file"]),
        ("/etc/.", ["./", "./file"]),
        ("/etc/file", ["file"]),
        ("/abs", ["abs"]),
        ("/abs/", ["abs/", "abs/file"]),
        ("/abs/file", ["file"]),
    ],
)
def test_names_in_the_archive(root: int, path: str, names: list[str]) -> None:
    assert [entry.name for entry, _ in read_entries(Source(get(root, path)))] == names


def test_the_root_itself(root: int) -> None:
    names = [entry.name for entry, _ in read_entries(Source(get(root, "/")))]
    assert "/etc/file" in names
    assert describe(root, "/")["name"] == "/"


def test_describe(root: int) -> None:
    shown = describe(root, "/etc/file")
    assert (shown["name"], shown["size"], shown["linkTarget"]) == ("file", 3, "")
    link = describe(root, "/up")
    assert link["mode"] & 1 << 27
    assert link["linkTarget"] == "/etc/file"
    with pytest.raises(NotFound, match="Could not find the file /etc/nope"):
        describe(root, "/etc/nope")
    with pytest.raises(NotFound):
        describe(root, "/etc/file/below")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFREG | 0o6755, 1 << 23 | 1 << 22 | 0o755),
        (stat.S_IFCHR | 0o600, 1 << 26 | 1 << 21 | 0o600),
        (stat.S_IFIFO | 0o600, 1 << 25 | 0o600),
    ],
)
def test_go_mode(mode: int, expected: int) -> None:
    assert go_mode(mode) == expected
