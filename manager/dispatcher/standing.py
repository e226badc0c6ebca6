"""Whether this manager may serve sessions: it hears of what the others commit, and the leader hears of it.

A manager that was cut off, or whose disk stalls, would show its workers an old state and let them seem silent: after a
few seconds it sends them to another manager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from common.errors import NoSpace, Unavailable
from manager.store.base import Store

PROBE = 1.0  # seconds between two looks, and that the store may take to answer
LOOKS = 20  # at an answer that is due
PATIENCE = 3.0  # seconds: longer than a change of leader takes


class Standing:
    """What fails, and since when by `clock` (seconds). Each part of the manager names its own failures."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._failing: dict[str, tuple[float, float]] = {}  # what → (since when, for how long it may)

    def good(self, what: str) -> None:
        self._failing.pop(what, None)

    def bad(self, what: str, patience: float = PATIENCE) -> None:
        """`what` as a sentence about this manager."""
        since, _ = self._failing.get(what, (self._clock(), 0.0))
        self._failing[what] = since, patience

    @property
    def reason(self) -> str:
        """Why this manager may not serve sessions; empty where it may."""
        now = self._clock()
        return next((what for what, (since, patience) in self._failing.items() if now - since >= patience), "")

    async def run(self) -> None:
        """Probe the store, for ever."""
        while True:
            await self._probe()
            await asyncio.sleep(PROBE)

    async def _probe(self) -> None:
        what = "this manager has lost the others"
        if await self._answers():
            self.good(what)
        else:
            self.bad(what, PATIENCE - PROBE)

    async def _answers(self) -> bool:
        """Looks are counted, not seconds: a manager that is busy with its workers is slow in all it does, and sending them away
        would bring them all back at once."""
        asked = asyncio.ensure_future(self._store.barrier())
        try:
            for _ in range(LOOKS):
                await asyncio.wait((asked,), timeout=PROBE / LOOKS)
                if asked.done():
                    return asked.result() is None
        except (Unavailable, NoSpace):
            pass
        finally:
            asked.cancel()
        return False
