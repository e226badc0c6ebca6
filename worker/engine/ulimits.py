"""Resource limits of processes (ulimits): Docker's names, clamped to what this daemon may give."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from common.errors import InvalidArgument
from common.model.shared import Ulimit

_NAMES = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
)  # fmt: skip
_LIMIT_NUMBERS = {"locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15}
_SYS_RESOURCE = 24  # the capability's number
_RUNTIME_FILES = 64  # descriptors: crun limits itself first, and then opens its files


def clamp(wanted: Sequence[Ulimit], warnings: list[str]) -> list[Ulimit]:
    """The limits that can be set, with a warning for each that had to be lowered. -1 is unlimited. Raises InvalidArgument."""
    return [_clamp(limit, warnings) for limit in wanted]


def _clamp(limit: Ulimit, warnings: list[str]) -> Ulimit:
    if limit.name not in _NAMES:
        raise InvalidArgument(f"invalid ulimit type: {limit.name}")
    soft, hard = limit.soft, limit.hard
    if hard != -1 and (soft > hard or soft == -1):
        raise InvalidArgument(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    own = resource.getrlimit(_number(limit.name))[1]
    if own == -1 or _may_raise() or (hard != -1 and hard <= own):
        return limit
    clamped = Ulimit(name=limit.name, soft=own if soft == -1 else min(soft, own), hard=own)
    warnings.append(
        f"ulimit {limit.name}={soft}:{hard} is above what this machine allows: {clamped.soft}:{own} is used"
    )
    return clamped


def oci_limits(limits: Iterable[Ulimit]) -> list[dict[str, object]]:
    """OCI's process.rlimits; one below what the runtime itself needs is for `tighten`."""
    return [
        {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft % 2**64, "hard": limit.hard % 2**64}
        for limit in map(_bearable, limits)
    ]


def _bearable(limit: Ulimit) -> Ulimit:
    if not _is_tight(limit):
        return limit
    hard = limit.hard if limit.hard == -1 else max(limit.hard, _RUNTIME_FILES)
    return Ulimit(name=limit.name, soft=_RUNTIME_FILES, hard=hard)


def _is_tight(limit: Ulimit) -> bool:
    return limit.name == "nofile" and 0 <= limit.soft < _RUNTIME_FILES


def tighten(pid: int, limits: Iterable[Ulimit]) -> None:
    """Give a process that the runtime has made the limits which the runtime could not have worked under."""
    for limit in filter(_is_tight, limits):
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit.soft, limit.hard))


def _number(name: str) -> int:
    return _LIMIT_NUMBERS.get(name) or int(getattr(resource, f"RLIMIT_{name.upper()}"))


def _may_raise() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _SYS_RESOURCE & 1)
