"""A clock of its own for every host, which may jump: all hosts have the machine's kernel, so their daemons preload a library that adds
an offset to the time of day. Nothing that runs already in a container sees it, and no monotonic clock jumps, as on real machines.
"""

from __future__ import annotations

import platform
from pathlib import Path

from common.durable import write_file
from examples.lab.layout import LabError
from examples.lab.processes import run

LIBRARY, OFFSET = "run/clock.so", "run/clock-offset"  # in a host's root
_SOURCE = Path(__file__).with_suffix(".c")
_CALLS = {"x86_64": 228, "aarch64": 113}  # number of clock_gettime


def install(root: Path) -> str:
    """Put the library into a host; the setting that a daemon needs in its environment. Raises LabError without tcc."""
    number = _CALLS.get(platform.machine())
    if number is None:
        raise LabError(f"hosts cannot have clocks of their own on {platform.machine()}")
    run("tcc", "-shared", "-nostdlib", f"-DNUMBER={number}", "-o", str(root / LIBRARY), str(_SOURCE))
    return f"LD_PRELOAD=/{LIBRARY}"


def set_offset(root: Path, seconds: int) -> None:
    write_file(root / OFFSET, str(seconds).encode(), durable=False)
