"""The backup's file: what goes in comes out, and nothing else is taken for it."""

from __future__ import annotations

import hashlib

import pytest

from common import backup
from common.backup import Content
from common.errors import InvalidArgument, Unauthorized

CONTENT = Content(cluster_key=bytes(32), revision=7, state=b"the state")


@pytest.fixture
def plain() -> bytes:
    return backup.pack("cluster0", "2030-01-01T00:00:00+00:00", CONTENT)


@pytest.fixture
def sealed(plain: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(backup, "COST", 2)
    return backup.seal(plain, b"pass")


def test_what_goes_in_comes_out(plain: bytes, sealed: bytes) -> None:
    assert backup.unpack(plain) == CONTENT
    assert b"the state" not in sealed
    assert backup.head_of(sealed).cluster_id == "cluster0"
    assert backup.unseal(sealed, b"pass") == plain
    assert backup.unseal(plain, b"any") == plain


def test_another_passphrase_is_refused(sealed: bytes) -> None:
    with pytest.raises(Unauthorized, match="does not open with this passphrase"):
        backup.unseal(sealed, b"other")
    with pytest.raises(InvalidArgument, match="is sealed"):
        backup.unpack(sealed)


def test_a_changed_byte_anywhere_is_noticed(plain: bytes, sealed: bytes) -> None:
    assert _opens(sealed) == plain
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert _opens(bytes(changed)) is None
    for size in range(len(sealed)):
        assert _opens(sealed[:size]) is None


def test_foreign_files_are_refused_with_a_sentence() -> None:
    for foreign in (b"", b"PK\x03\x04", bytes(4096)):
        with pytest.raises(InvalidArgument, match="no backup of a cluster"):
            backup.head_of(foreign)


def test_a_later_format_is_named(plain: bytes) -> None:
    later = plain[:-32].replace(b"\xa6format\x01", b"\xa6format\x02")
    later += hashlib.sha256(later).digest()
    with pytest.raises(InvalidArgument, match="format 2"):
        backup.head_of(later)


def _opens(data: bytes) -> bytes | None:
    try:
        return backup.unseal(data, b"pass")
    except (InvalidArgument, Unauthorized):
        return None
