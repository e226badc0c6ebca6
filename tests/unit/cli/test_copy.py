"""Where copies land, and archives that are packed and unpacked."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from cli.copy.pack import pack
from cli.copy.places import Kind, Landing, Place, landing, parse_place
from cli.copy.unpack import unpack
from cli.errors import CliError

ABSENT, FILE, FOLDER = Kind(False), Kind(True), Kind(True, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web:/etc", Place("web", "/etc")),
        ("web:etc", Place("web", "/etc")),
        ("./a:b", Place("", "./a:b")),
        ("/a:b", Place("", "/a:b")),
        ("plain", Place("", "plain")),
        ("-", Place("", "-")),
    ],
)
def test_places(text: str, expected: Place) -> None:
    assert parse_place(text) == expected


@pytest.mark.parametrize(
    ("source", "is_folder", "target", "there", "expected"),
    [
        ("/a/f", False, "/t", ABSENT, Landing("/", "t")),
        ("/a/f", False, "/t", FILE, Landing("/", "t")),
        ("/a/f", False, "/t", FOLDER, Landing("/t", "f")),
        ("/a/d", True, "/t", ABSENT, Landing("/", "t")),
        ("/a/d/", True, "/t/", FOLDER, Landing("/t", "d")),
        ("/a/d/.", True, "/t", FOLDER, Landing("/t", "")),
        ("/a/d/.", True, "/t", ABSENT, Landing("/", "t")),
        ("f", False, "t", ABSENT, Landing(".", "t")),
    ],
)
def test_landings(source: str, is_folder: bool, target: str, there: Kind, expected: Landing) -> None:
    assert landing(source, is_folder, target, there) == expected


@pytest.mark.parametrize(
    ("is_folder", "target", "there", "part"),
    [
        (True, "/t", FILE, "over the file"),
        (False, "/t/", ABSENT, "does not exist"),
        (False, "/t/", FILE, "not a folder"),
    ],
)
def test_refused_landings(is_folder: bool, target: str, there: Kind, part: str) -> None:
    with pytest.raises(CliError, match=part):
        landing("/a/x", is_folder, target, there)


def tree(root: Path) -> dict[str, str]:
    """Path → content, "/" for folders, "-> x" for links."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text()
    return found


def test_round_trip(tmp_path: Path) -> None:
    source, target = tmp_path / "src", tmp_path / "dst"
    (source / "sub").mkdir(parents=True)
    target.mkdir()
    (source / "sub" / "f").write_text("x" * 70_000)
    (source / "link").symlink_to("/absolute/elsewhere")
    os.link(source / "sub" / "f", source / "hard")
    (source / "sub").chmod(0o500)
    unpack(pack(str(source), "src"), Landing(str(target), "copy"))
    assert tree(target) == {f"copy/{name}": text for name, text in tree(source).items()} | {"copy": "/"}
    assert (target / "copy/sub").stat().st_mode & 0o777 == 0o500
    assert (target / "copy/hard").stat().st_ino == (target / "copy/sub/f").stat().st_ino


def test_content_alone(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "dst").mkdir()
    (tmp_path / "src/f").write_text("1")
    unpack(pack(str(tmp_path / "src"), ""), Landing(str(tmp_path / "dst"), ""))
    assert tree(tmp_path / "dst") == {"f": "1"}


def archive(*members: tuple[str, str, str]) -> bytes:
    """(name, kind, content or target) of each."""
    buffer = io.BytesIO()
    kinds = {
        "dir": tarfile.DIRTYPE,
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "file": tarfile.REGTYPE,
        "dev": tarfile.CHRTYPE,
    }
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type = kinds[kind]
            if kind == "file":
                member.size = len(text)
            else:
                member.linkname = text
            tar.addfile(member, io.BytesIO(text.encode()) if kind == "file" else None)
    return buffer.getvalue()


TOP = ("top", "dir", "")


@pytest.mark.parametrize(
    "members",
    [
        (TOP, ("top/../../evil", "file", "x")),
        (TOP, ("/top/evil", "file", "x")),
        (TOP, ("top/out", "link", ".."), ("top/out/../evil", "file", "x")),
        (TOP, ("top/out", "link", "../.."), ("top/out/evil", "file", "x")),
        (TOP, ("top/out", "link", "/etc"), ("top/hard", "hard", "top/out/passwd")),
        (TOP, ("top/out", "link", "../.."), ("top/out", "dir", "")),
        (TOP, ("top/null", "dev", "")),
    ],
)
def test_hostile_archives_are_refused(tmp_path: Path, members: tuple[tuple[str, str, str], ...]) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(CliError):
        unpack(iter([archive(*members)]), Landing(str(tmp_path / "in"), "top"))
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "in/f").symlink_to(tmp_path / "kept")
    unpack(iter([archive(("f", "file", "new"))]), Landing(str(tmp_path / "in"), "f"))
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "in/f").read_text() == "new"


def test_broken_archives(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="broken"):
        unpack(iter([b"no tar at all" * 100]), Landing(str(tmp_path), "x"))
