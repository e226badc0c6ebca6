"""Changes by the API on a manager that is behind the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import NotFound
from manager.api.context import Context
from manager.store.base import Change


class Behind:
    """A store whose view becomes the present one by a barrier."""

    def __init__(self, past: str, present: str) -> None:
        self._view, self._present = past, present

    def view(self) -> str:
        return self._view

    async def barrier(self) -> None:
        self._view = self._present

    async def commit(self, changes: Sequence[Change]) -> int:
        return 1


def _context(store: Behind) -> Context:
    given: Any = store
    nothing: Any = None
    return Context(given, nothing, nothing, nothing, "node", ())


def _build(view: Any) -> tuple[Sequence[Change], str]:
    if view != "there":
        raise NotFound(f"it is {view}")
    return [], view


async def test_nothing_is_refused_because_of_what_is_out_of_date() -> None:
    assert await _context(Behind("not there", "there")).transact(_build) == "there"


async def test_what_is_so_at_present_is_refused() -> None:
    with pytest.raises(NotFound, match="it is gone"):
        await _context(Behind("not there", "gone")).transact(_build)
