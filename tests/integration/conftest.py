"""One daemon per test module (`shoald`), with the busybox image loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.daemon import Daemon, daemon
from tests.harness.images import busybox_archive
from tests.harness.services import Services
from tests.harness.wait import until


@pytest.fixture(scope="module")
def shoald() -> Iterator[Daemon]:
    with daemon() as made:
        made.docker("load", "-i", str(busybox_archive()))
        yield made


@pytest.fixture
def services(shoald: Daemon) -> Iterator[Services]:
    """The services of the module's daemon; afterwards all of them are removed, and nothing may be left of them."""
    made = Services(shoald)
    until(lambda: '"br-' in shoald.snapshot().nft, "the worker has its assignments, with the ingress network")
    before = shoald.snapshot()
    yield made
    made.remove_all()
    try:
        until(lambda: not made.leftovers(before), "nothing is left of the services", timeout=10)
    except AssertionError:
        assert made.leftovers(before) == []
    finally:
        made.close()
