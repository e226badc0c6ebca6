"""Python's garbage collector, kept from walking the whole state whenever the state has grown.

Reference counts free nearly everything. Cycles that die young are found as ever; those that were old when they died, as ended
sessions are, wait for a full look, which takes a thousandth of the time at most.
"""

from __future__ import annotations

import asyncio
import gc
import time

YOUNG = (
    10_000,
    20,
    1 << 30,
)  # objects until the youngest are looked at, then looks until the next generation is; never all
SELDOM = 60.0  # seconds between full looks, at least
SHARE = 1000  # times as long as a full look took


async def collect() -> None:
    """Take care of it for ever. What lives already counts as living for ever, too."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*YOUNG)
    took = 0.0
    try:
        while True:
            await asyncio.sleep(max(SELDOM, SHARE * took))
            began = time.process_time()
            gc.collect()
            took = time.process_time() - began
    finally:
        gc.set_threshold(*before)
