"""One daemon per test module (`shoald`), with the busybox image loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.daemon import Daemon, daemon
from tests.harness.images import busybox_archive


@pytest.fixture(scope="module")
def shoald() -> Iterator[Daemon]:
    with daemon() as made:
        made.docker("load", "-i", str(busybox_archive()))
        yield made
