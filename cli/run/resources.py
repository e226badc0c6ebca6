"""Limits: memory, CPU, processes, block devices. `shared` are those that `update` changes too."""

from __future__ import annotations

from cli.flags.field import Decorator, field, many, switch, together
from cli.flags.types import BYTES, NANO_CPUS, Parsed
from cli.parse.devices import parse_operations, parse_rate, parse_ulimit, parse_weight
from cli.parse.policies import parse_restart

_RATE = Parsed("path:bytes", parse_rate)
_COUNT = Parsed("path:count", parse_operations)


def shared(base: str) -> list[Decorator]:
    """Limits whose fields lie below `base`."""
    return [
        field(f"{base}BlkioWeight", "--blkio-weight", type=int, help="Block I/O weight, 10 to 1000; 0 none"),
        field(f"{base}CpuPeriod", "--cpu-period", type=int, help="Period of the CPU quota, in microseconds"),
        field(f"{base}CpuQuota", "--cpu-quota", type=int, help="CPU time within a period, in microseconds"),
        field(f"{base}CpuRealtimePeriod", "--cpu-rt-period", type=int, help="Period of real-time CPU, in microseconds"),
        field(f"{base}CpuRealtimeRuntime", "--cpu-rt-runtime", type=int, help="Real-time CPU, in microseconds"),
        field(f"{base}CpuShares", "-c", "--cpu-shares", type=int, help="Weight among others that want CPU time"),
        field(f"{base}NanoCpus", "--cpus", type=NANO_CPUS, help="Number of CPUs, as 1.5"),
        field(f"{base}CpusetCpus", "--cpuset-cpus", help="CPUs that it may use, as 0-3 or 0,1"),
        field(f"{base}CpusetMems", "--cpuset-mems", help="Memory nodes that it may use, as 0-3 or 0,1"),
        field(f"{base}Memory", "-m", "--memory", type=BYTES, help="Limit of memory, as 512m"),
        field(f"{base}MemoryReservation", "--memory-reservation", type=BYTES, help="Memory that it should get"),
        field(f"{base}MemorySwap", "--memory-swap", type=BYTES, help="Limit of memory and swap; -1 without limit"),
        field(f"{base}PidsLimit", "--pids-limit", type=int, help="Limit of processes; -1 without limit"),
        field(
            f"{base}RestartPolicy",
            "--restart",
            type=Parsed("policy", parse_restart),
            help="When to start it again: no, on-failure[:COUNT], always, unless-stopped",
        ),
    ]


options = together(
    *shared("HostConfig."),
    many(
        "HostConfig.BlkioWeightDevice",
        "--blkio-weight-device",
        type=Parsed("path:weight", parse_weight),
        help="Block I/O weight for a device",
    ),
    many("HostConfig.BlkioDeviceReadBps", "--device-read-bps", type=_RATE, help="Limit of bytes read per second"),
    many("HostConfig.BlkioDeviceReadIOps", "--device-read-iops", type=_COUNT, help="Limit of reads per second"),
    many("HostConfig.BlkioDeviceWriteBps", "--device-write-bps", type=_RATE, help="Limit of bytes written per second"),
    many("HostConfig.BlkioDeviceWriteIOps", "--device-write-iops", type=_COUNT, help="Limit of writes per second"),
    field("HostConfig.MemorySwappiness", "--memory-swappiness", type=int, help="Swappiness, 0 to 100"),
    switch("HostConfig.OomKillDisable", "--oom-kill-disable", help="Do not kill it when memory runs out"),
    field("HostConfig.OomScoreAdj", "--oom-score-adj", type=int, help="How soon the kernel kills it, -1000 to 1000"),
    many("HostConfig.Ulimits", "--ulimit", type=Parsed("name=soft:hard", parse_ulimit), help="Limit of its processes"),
)
