"""The local driver's options are checked when a volume is created."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument
from worker.volumes.options import check_options


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
