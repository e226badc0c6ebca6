from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.manager_api.api import Api, api


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as made:
        yield made
