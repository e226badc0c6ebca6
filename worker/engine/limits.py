"""Checked limits in OCI's words: linux.resources of a bundle, and of an update to a running container."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from common.model.container import Resources, ThrottleDevice

_PERIOD = 100_000  # microseconds
_ALL_PIDS = 4_194_304  # as many processes as a kernel can have


def oci_resources(resources: Resources, *, changing: bool = False) -> dict[str, Any]:
    """Only what is set; `changing`: for a container that runs. The device rules are devices.py's."""
    found = {
        "memory": _memory(resources),
        "cpu": _cpu(resources),
        "pids": _pids(resources, changing=changing),
        "blockIO": _block_io(resources),
    }
    return {name: part for name, part in found.items() if part}


def _memory(resources: Resources) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    if resources.memory:
        memory["limit"] = resources.memory
    if resources.memory_swap:
        memory["swap"] = resources.memory_swap
    if resources.memory_reservation:
        memory["reservation"] = resources.memory_reservation
    if resources.memory_swappiness not in (None, -1):
        memory["swappiness"] = resources.memory_swappiness
    if resources.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(resources: Resources) -> dict[str, Any]:
    quota, period = resources.cpu_quota, resources.cpu_period
    if resources.nano_cpus:
        quota, period = resources.nano_cpus * _PERIOD // 1_000_000_000, _PERIOD
    found = {
        "shares": resources.cpu_shares,
        "quota": quota,
        "period": period,
        "realtimePeriod": resources.cpu_realtime_period,
        "realtimeRuntime": resources.cpu_realtime_runtime,
        "cpus": resources.cpuset_cpus,
        "mems": resources.cpuset_mems,
    }
    return {name: value for name, value in found.items() if value}


def _pids(resources: Resources, *, changing: bool) -> dict[str, Any]:
    """Unlimited is left out for a new container; an update needs a number, as crun writes no "max"."""
    limit = resources.pids_limit
    if limit is None or (limit <= 0 and not changing):
        return {}
    return {"limit": limit if limit > 0 else _ALL_PIDS}


def _block_io(resources: Resources) -> dict[str, Any]:
    found = {
        "weight": resources.blkio_weight,
        "weightDevice": [
            {**_numbers(device.path), "weight": device.weight} for device in resources.blkio_weight_device
        ],
        "throttleReadBpsDevice": _throttled(resources.blkio_device_read_bps),
        "throttleWriteBpsDevice": _throttled(resources.blkio_device_write_bps),
        "throttleReadIOPSDevice": _throttled(resources.blkio_device_read_iops),
        "throttleWriteIOPSDevice": _throttled(resources.blkio_device_write_iops),
    }
    return {name: value for name, value in found.items() if value}


def _throttled(devices: Iterable[ThrottleDevice]) -> list[dict[str, int]]:
    return [{**_numbers(device.path), "rate": device.rate} for device in devices]


def _numbers(path: str) -> dict[str, int]:
    number = os.stat(path).st_rdev
    return {"major": os.major(number), "minor": os.minor(number)}
