"""What a container uses, computed from the API's stats as Docker's users know the figures."""

from __future__ import annotations

from typing import Any, NamedTuple

from cli.show.units import binary_size, size

Stats = dict[str, Any]


class Usage(NamedTuple):
    """One container's figures: percentages of 100 per CPU, sizes in bytes."""

    name: str
    id: str
    cpu: float = 0.0
    memory: int = 0
    limit: int = 0
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0
    pids: int = 0

    @property
    def memory_share(self) -> float:
        return 100 * self.memory / self.limit if self.limit else 0.0


def usage(stats: Stats) -> Usage:
    """The figures of one message of GET /containers/…/stats."""
    networks = (stats.get("networks") or {}).values()
    read, written = _blocks(stats)
    return Usage(
        name=(stats.get("name") or "").removeprefix("/"),
        id=stats.get("id") or "",
        cpu=cpu_percent(stats),
        memory=_memory(stats.get("memory_stats") or {}),
        limit=(stats.get("memory_stats") or {}).get("limit") or 0,
        received=sum(n.get("rx_bytes", 0) for n in networks),
        sent=sum(n.get("tx_bytes", 0) for n in networks),
        read=read,
        written=written,
        pids=(stats.get("pids_stats") or {}).get("current") or 0,
    )


def cpu_percent(stats: Stats) -> float:
    """CPU time since the previous sample, in percent of one CPU."""
    now, before = stats.get("cpu_stats") or {}, stats.get("precpu_stats") or {}
    used = _total(now) - _total(before)
    passed = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    if used <= 0 or passed <= 0:
        return 0.0
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or [0])
    return float(used / passed * cpus * 100)


def _total(cpu: Stats) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _memory(memory: Stats) -> int:
    """Without the page cache that can be dropped: total_inactive_file of cgroup v1, inactive_file of v2."""
    whole, detail = memory.get("usage") or 0, memory.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return int(whole - cache if cache < whole else whole)


def _blocks(stats: Stats) -> tuple[int, int]:
    totals = {"read": 0, "write": 0}
    for entry in (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []:
        kind = str(entry.get("op", "")).lower()
        if kind in totals:
            totals[kind] += entry.get("value") or 0
    return totals["read"], totals["write"]


def columns(trunc: bool) -> dict[str, tuple[str, Any]]:
    """The fields of `stats`."""
    return {
        "ID": ("CONTAINER ID", lambda u: u.id[:12] if trunc else u.id),
        "Container": ("CONTAINER", lambda u: u.id[:12] if trunc else u.id),
        "Name": ("NAME", lambda u: u.name or "--"),
        "CPUPerc": ("CPU %", lambda u: f"{u.cpu:.2f}%"),
        "MemUsage": ("MEM USAGE / LIMIT", lambda u: f"{binary_size(u.memory)} / {binary_size(u.limit)}"),
        "MemPerc": ("MEM %", lambda u: f"{u.memory_share:.2f}%"),
        "NetIO": ("NET I/O", lambda u: f"{size(u.received, 3)} / {size(u.sent, 3)}"),
        "BlockIO": ("BLOCK I/O", lambda u: f"{size(u.read, 3)} / {size(u.written, 3)}"),
        "PIDs": ("PIDS", lambda u: str(u.pids)),
    }
