"""Capabilities as Docker resolves them: the default set, additions, removals, ALL, privileged, what the kernel knows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from common.errors import InvalidArgument

# In the kernel's order: a capability's place is its number.
_ALL = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
ALL = tuple(f"CAP_{name}" for name in _ALL.split())
_DEFAULT = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE"
)
DEFAULT = tuple(f"CAP_{name}" for name in _DEFAULT.split())


@cache
def available() -> tuple[str, ...]:
    """What this process may give away: known to the kernel and in our bounding set (a container's daemon has fewer)."""
    status = Path("/proc/self/status").read_text()
    bounding = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    return tuple(name for number, name in enumerate(ALL) if number <= last and bounding >> number & 1)


def resolve(add: Iterable[str] | None, drop: Iterable[str] | None, privileged: bool) -> list[str]:
    """The capabilities of a container, sorted, with their CAP_ prefix. Raises InvalidArgument for unknown ones.

    As Docker: privileged has all and neither list counts; dropping ALL leaves exactly what is added; adding ALL gives all
    but what is dropped; else the default set, plus, minus. One asked for by name that the kernel lacks is refused.
    """
    added, dropped = _normalise(add), _normalise(drop)
    if privileged:
        return sorted(available())
    if "ALL" in dropped:
        chosen = available() if "ALL" in added else added
    elif "ALL" in added:
        chosen = tuple(set(available()) - dropped)
    else:
        chosen = tuple((set(DEFAULT) & set(available()) | added) - dropped)
    _refuse_unavailable(chosen)
    return sorted(chosen)


def _normalise(names: Iterable[str] | None) -> set[str]:
    result = set()
    for name in names or ():
        upper = name.strip().upper()
        if upper != "ALL" and not upper.startswith("CAP_"):
            upper = f"CAP_{upper}"
        if upper not in ("ALL", "CAP_ALL", *ALL):
            raise InvalidArgument(f"invalid capability: {name!r}")
        result.add("ALL" if upper == "CAP_ALL" else upper)
    return result


def _refuse_unavailable(names: Iterable[str]) -> None:
    missing = sorted(set(names) - set(available()))
    if missing:
        raise InvalidArgument(f"capability {missing[0]} is not supported by this kernel or not available to the daemon")
