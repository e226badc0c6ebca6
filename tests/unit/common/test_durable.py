"""write_file replaces in one step and leaves nothing beside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common.durable import write_file
from common.errors import InvalidArgument
from common.ids import check_name, hex_id, object_id


def test_content_mode_and_no_remains(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old", mode=0o644)
    write_file(path, b"new" * 100_000, durable=False)
    assert path.read_bytes() == b"new" * 100_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_the_old_content_stays_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    (tmp_path / ".file.new").mkdir()
    with pytest.raises(IsADirectoryError):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_ids_have_dockers_and_swarms_shapes() -> None:
    assert len({object_id() for _ in range(100)}) == 100
    assert all(len(object_id()) == 25 for _ in range(100))
    assert len(hex_id()) == 64


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "ü", "x" * 256, "../x"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid container name"):
        check_name("container", name)
