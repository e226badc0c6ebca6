"""What the suites share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.etcd import end_shared


@pytest.fixture(scope="session", autouse=True)
def shared_etcd() -> Iterator[None]:
    """The etcd that runs once a test asked for it ends with the session."""
    yield
    end_shared()
