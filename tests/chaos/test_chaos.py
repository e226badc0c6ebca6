"""A short run of chaos. More and longer ones: `python -m tests.chaos --help`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import chaos


@pytest.mark.slow
def test_a_short_chaos(tmp_path: Path) -> None:
    chaos(1, 35, tmp_path / "logs")
