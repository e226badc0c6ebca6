"""The local driver's options are checked when a volume is created."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument
from worker.volumes.options import check_options, mount_command


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
        {"type": "none", "device": "/srv", "o": "bind"},
        {"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1,ro"},
    ],
)
def test_kept_as_given(options: dict[str, str]) -> None:
    assert check_options(options) == options


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"o": "ro"}, "missing required option"),
        ({"colour": "red"}, 'invalid option: "colour"'),
        ({"size": "1g"}, "quotas"),
        ({"type": "-o", "device": "x"}, "invalid volume type"),
        ({"type": "tmpfs", "device": "a\0b"}, "zero byte"),
    ],
)
def test_refused(options: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        check_options(options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "tmpfs", "device": "tmpfs"}, ["tmpfs", "--", "tmpfs"]),
        ({"type": "ext4", "device": "/dev/x", "o": "addr=1,ro"}, ["ext4", "-o", "addr=1,ro", "--", "/dev/x"]),
        ({"type": "nfs", "device": ":/x", "o": "addr=10.0.0.1,ro"}, ["nfs", "-o", "ro", "--", "10.0.0.1:/x"]),
        ({"type": "nfs4", "device": ":/x", "o": "addr=fd00::1"}, ["nfs4", "--", "[fd00::1]:/x"]),
        ({"type": "nfs", "device": "server:/x", "o": "soft"}, ["nfs", "-o", "soft", "--", "server:/x"]),
    ],
)
def test_in_mounts_words(options: dict[str, str], words: list[str]) -> None:
    assert mount_command(options) == ["mount", "-t", *words]
