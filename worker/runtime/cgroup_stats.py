"""A container's counters in the shape of Docker's stats: cpu_stats, memory_stats, blkio_stats, pids_stats."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from worker.runtime.cgroups import Cgroup, flat, number, read

_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_V1_BLKIO = {
    "io_service_bytes_recursive": ("blkio.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"),
    "io_serviced_recursive": ("blkio.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"),
    "io_queue_recursive": ("blkio.io_queued_recursive",),
    "io_service_time_recursive": ("blkio.io_service_time_recursive",),
    "io_wait_time_recursive": ("blkio.io_wait_time_recursive",),
    "io_merged_recursive": ("blkio.io_merged_recursive",),
    "io_time_recursive": ("blkio.time_recursive",),
    "sectors_recursive": ("blkio.sectors_recursive",),
}


def stats(cgroup: Cgroup) -> dict[str, Any]:
    """One sample; a container that has no group any more gives zeros."""
    two = cgroup.where.version == 2
    cpu = _cpu_v2(cgroup) if two else _cpu_v1(cgroup)
    cpu |= {"system_cpu_usage": _system_cpu(), "online_cpus": len(os.sched_getaffinity(0))}
    return {
        "cpu_stats": cpu,
        "memory_stats": _memory_v2(cgroup) if two else _memory_v1(cgroup),
        "blkio_stats": _blkio_v2(cgroup) if two else _blkio_v1(cgroup),
        "pids_stats": _pids(cgroup),
    }


def _cpu_v1(cgroup: Cgroup) -> dict[str, Any]:
    folder = cgroup.folder("cpuacct")
    modes = flat(folder / "cpuacct.stat")
    throttling = flat(cgroup.folder("cpu") / "cpu.stat")
    return {
        "cpu_usage": {
            "total_usage": number(folder / "cpuacct.usage") or 0,
            "percpu_usage": [int(ns) for ns in read(folder / "cpuacct.usage_percpu").split()],
            "usage_in_kernelmode": modes.get("system", 0) * _NS_PER_TICK,
            "usage_in_usermode": modes.get("user", 0) * _NS_PER_TICK,
        },
        "throttling_data": _throttling(throttling, throttling.get("throttled_time", 0)),
    }


def _cpu_v2(cgroup: Cgroup) -> dict[str, Any]:
    values = flat(cgroup.folder("cpu") / "cpu.stat")
    return {
        "cpu_usage": {
            "total_usage": values.get("usage_usec", 0) * 1000,
            "usage_in_kernelmode": values.get("system_usec", 0) * 1000,
            "usage_in_usermode": values.get("user_usec", 0) * 1000,
        },
        "throttling_data": _throttling(values, values.get("throttled_usec", 0) * 1000),
    }


def _throttling(values: dict[str, int], nanoseconds: int) -> dict[str, int]:
    return {
        "periods": values.get("nr_periods", 0),
        "throttled_periods": values.get("nr_throttled", 0),
        "throttled_time": nanoseconds,
    }


def _system_cpu() -> int:
    """Nanoseconds that all processors spent, idle included: the first seven fields, as Docker counts."""
    fields = read(Path("/proc/stat")).partition("\n")[0].split()[1:8]
    return sum(int(ticks) for ticks in fields) * _NS_PER_TICK


def _memory_v1(cgroup: Cgroup) -> dict[str, Any]:
    folder = cgroup.folder("memory")
    return {
        "usage": number(folder / "memory.usage_in_bytes") or 0,
        "max_usage": number(folder / "memory.max_usage_in_bytes") or 0,
        "failcnt": number(folder / "memory.failcnt") or 0,
        "limit": _limit(number(folder / "memory.limit_in_bytes")),
        "stats": flat(folder / "memory.stat"),
    }


def _memory_v2(cgroup: Cgroup) -> dict[str, Any]:
    folder = cgroup.folder("memory")
    failures = flat(folder / "memory.events").get("oom", 0)
    return {
        "usage": number(folder / "memory.current") or 0,
        **({"failcnt": failures} if failures else {}),
        "limit": _limit(number(folder / "memory.max")),
        "stats": flat(folder / "memory.stat"),
    }


def _limit(bytes_: int | None) -> int:
    """What a container can have at most is what the machine has."""
    return min(bytes_ or host_memory(), host_memory())


@cache
def host_memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _pids(cgroup: Cgroup) -> dict[str, int]:
    folder = cgroup.folder("pids")
    limit = number(folder / "pids.max")
    return {"current": number(folder / "pids.current") or 0} | ({"limit": limit} if limit else {})


def _blkio_v1(cgroup: Cgroup) -> dict[str, Any]:
    folder = cgroup.folder("blkio")
    return {
        name: next((entries for file in files if (entries := _blkio_entries(read(folder / file)))), [])
        for name, files in _V1_BLKIO.items()
    }


def _blkio_entries(text: str) -> list[dict[str, Any]]:
    """Lines "8:0 Read 4096", or "8:0 4096" where a file knows no operations."""
    entries = []
    for words in map(str.split, text.splitlines()):
        if len(words) >= 2 and ":" in words[0]:
            major, minor = words[0].split(":")
            operation = words[1].lower() if len(words) == 3 else ""
            entries.append({"major": int(major), "minor": int(minor), "op": operation, "value": int(words[-1])})
    return entries


def _blkio_v2(cgroup: Cgroup) -> dict[str, Any]:
    """io.stat's lines: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"."""
    shaped: dict[str, Any] = dict.fromkeys(_V1_BLKIO)
    sizes, counts = [], []
    for words in map(str.split, read(cgroup.folder("io") / "io.stat").splitlines()):
        major, minor = words[0].split(":")
        values = dict(word.split("=") for word in words[1:] if "=" in word)
        device: dict[str, Any] = {"major": int(major), "minor": int(minor)}
        sizes += [device | {"op": op, "value": int(values.get(f"{op[0]}bytes", 0))} for op in ("read", "write")]
        counts += [device | {"op": op, "value": int(values.get(f"{op[0]}ios", 0))} for op in ("read", "write")]
    return shaped | {"io_service_bytes_recursive": sizes, "io_serviced_recursive": counts}
