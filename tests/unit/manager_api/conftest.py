from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.manager_api.api import Api, api


@pytest.fixture
async def manager() -> AsyncIterator[Api]:
    async with api() as made:
        yield made
