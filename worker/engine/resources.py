"""Limits of a container: checked as Docker checks them, completed, and what the machine cannot do said in warnings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from common.errors import InvalidArgument, Unsupported
from common.model.container import Resources
from worker.engine.ulimits import clamp
from worker.runtime.cgroups import hierarchies, read

_MIN_MEMORY = 6 << 20
_MAX_SHARES = 262_144  # the kernel's own limit
_WINDOWS = ("cpu_count", "cpu_percent", "io_maximum_iops", "io_maximum_bandwidth")
_BLOCK_IO = {  # field → its file with cgroup v1, with v2, and what it is
    "blkio_weight": ("blkio.weight", "io.weight", "Block I/O weight"),
    "blkio_weight_device": ("blkio.weight_device", "io.weight", "Block I/O weight_device"),
    "blkio_device_read_bps": ("blkio.throttle.read_bps_device", "io.max", "BPS Block I/O read limit"),
    "blkio_device_write_bps": ("blkio.throttle.write_bps_device", "io.max", "BPS Block I/O write limit"),
    "blkio_device_read_iops": ("blkio.throttle.read_iops_device", "io.max", "IOPS Block read limit in IO"),
    "blkio_device_write_iops": ("blkio.throttle.write_iops_device", "io.max", "IOPS Block write limit in IO"),
}
_RANGES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


def complete(resources: Resources) -> tuple[Resources, list[str]]:
    """The limits that can be had, and warnings about the rest. Raises InvalidArgument, Unsupported."""
    warnings: list[str] = []
    _refuse_unsupported(resources)
    _check_memory(resources)
    _check_cpu(resources)
    _check_blkio(resources)
    changes = _memory_changes(resources, warnings) | _block_io_changes(resources, warnings)
    _check_realtime(resources)
    if resources.ulimits:
        changes["ulimits"] = clamp(resources.ulimits, warnings)
    return msgspec.structs.replace(resources, **changes), warnings


def _refuse_unsupported(resources: Resources) -> None:
    for field in _WINDOWS:
        if getattr(resources, field):
            raise Unsupported(f"invalid option: {field.replace('_', ' ')} is for Windows only")
    if resources.kernel_memory or resources.kernel_memory_tcp:
        raise Unsupported("kernel memory limits are not supported: the kernel has given them up")
    if resources.device_requests:
        wanted = resources.device_requests[0]
        names = wanted.driver or ", ".join("+".join(group) for group in wanted.capabilities) or "any"
        raise Unsupported(f"could not select device driver {names!r}: device requests are not supported, use devices")
    if resources.cgroup_parent:
        raise Unsupported("a cgroup parent per container is not supported: use the daemon's --cgroup-parent")


def _check_memory(resources: Resources) -> None:
    memory, swap, reservation = resources.memory, resources.memory_swap, resources.memory_reservation
    if memory < 0 or (memory and memory < _MIN_MEMORY):
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if memory > 0 and 0 < swap < memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    if swap < -1:
        raise InvalidArgument(f"invalid memory swap {swap}: use bytes, or -1 for unlimited")
    if reservation < 0 or (reservation and reservation < _MIN_MEMORY):
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reservation:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")
    swappiness = resources.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidArgument(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if resources.pids_limit is not None and resources.pids_limit < -1:
        raise InvalidArgument(f"invalid pids limit {resources.pids_limit}: use -1 for unlimited")


def _check_cpu(resources: Resources) -> None:
    cpus = os.cpu_count() or 1
    if resources.nano_cpus and resources.cpu_period:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if resources.nano_cpus and resources.cpu_quota:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if resources.nano_cpus and not 10_000_000 <= resources.nano_cpus <= cpus * 1_000_000_000:
        raise InvalidArgument(
            f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )  # fmt: skip
    if not 0 <= resources.cpu_shares <= _MAX_SHARES:
        raise InvalidArgument(f"invalid CPU shares ({resources.cpu_shares}): the value is from 2 to {_MAX_SHARES}")
    if resources.cpu_period and not 1000 <= resources.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < resources.cpu_quota < 1000 or resources.cpu_quota < -1:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    _check_set("cpuset cpus", "CPUs", resources.cpuset_cpus, _online("/sys/devices/system/cpu/online"))
    _check_set("cpuset mems", "memory nodes", resources.cpuset_mems, _online("/sys/devices/system/node/online"))


def _check_set(name: str, kind: str, text: str, available: str) -> None:
    if not text:
        return
    if not _RANGES.fullmatch(text):
        raise InvalidArgument(f"Invalid value {text} for {name}")
    if not _numbers(text) <= _numbers(available):
        raise InvalidArgument(f"Requested {kind} are not available - requested {text}, available: {available}")


def _numbers(text: str) -> set[int]:
    """ "0-2,5" → {0, 1, 2, 5}. Numbers beyond any machine's are not expanded."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        found.update(range(low, min(high, low + 65_536) + 1))
    return found


@cache
def _online(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "0"


def _check_blkio(resources: Resources) -> None:
    weights = [resources.blkio_weight, *(device.weight for device in resources.blkio_weight_device)]
    if any(weight and not 10 <= weight <= 1000 for weight in weights):
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    throttled = (
        *resources.blkio_device_read_bps,
        *resources.blkio_device_write_bps,
        *resources.blkio_device_read_iops,
        *resources.blkio_device_write_iops,
    )
    if any(device.rate < 0 for device in throttled):
        raise InvalidArgument("invalid blkio rate: it cannot be negative")
    _check_devices(device.path for device in throttled)
    _check_devices(device.path for device in resources.blkio_weight_device)


def _check_devices(paths: Iterable[str]) -> None:
    for path in paths:
        if not Path(path).is_block_device():
            raise InvalidArgument(f"{path} is not a block device of this machine", ("device", path))


def _memory_changes(resources: Resources, warnings: list[str]) -> dict[str, object]:
    changes: dict[str, object] = {}
    if resources.memory > 0 and not _has("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"):
        warnings.append(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
        )
        changes["memory_swap"] = -1
    elif resources.memory > 0 and resources.memory_swap == 0:
        changes["memory_swap"] = resources.memory * 2
    if resources.oom_kill_disable and hierarchies().version == 2:
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        changes["oom_kill_disable"] = None
    elif resources.oom_kill_disable and not resources.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of "
            "resources."
        )
    if resources.memory_swappiness not in (None, -1) and hierarchies().version == 2:
        warnings.append("Your kernel does not support memory swappiness capabilities. Memory swappiness discarded.")
        changes["memory_swappiness"] = None
    return changes


def _has(controller: str, v1_file: str, v2_file: str) -> bool:
    """Whether the kernel has a limit's file; a `v2_file` of "" is in no kernel."""
    where = hierarchies()
    if where.version == 1:
        return controller in where.v1 and (where.v1[controller] / v1_file).exists()
    return where.v2 is not None and bool(v2_file) and _has_v2(where.v2, v2_file)


def _has_v2(mount: Path, file: str) -> bool:
    """The root group has no limits: any group below tells, once their controller is on for them, as the first container makes it."""
    controller = file.partition(".")[0]
    if controller in read(mount / "cgroup.subtree_control").split():
        return next(mount.glob(f"*/{file}"), None) is not None or not any(mount.glob("*/"))
    return controller in read(mount / "cgroup.controllers").split()


def _block_io_changes(resources: Resources, warnings: list[str]) -> dict[str, object]:
    """What the kernel's block I/O controller lacks is discarded, as Docker does it."""
    changes: dict[str, object] = {}
    for field, (v1_file, v2_file, what) in _BLOCK_IO.items():
        value = getattr(resources, field)
        if value and not _has("blkio", v1_file, v2_file):
            warnings.append(f"Your kernel does not support {what} or the cgroup is not mounted. It is discarded.")
            changes[field] = type(value)()
    return changes


def _check_realtime(resources: Resources) -> None:
    period, runtime = resources.cpu_realtime_period, resources.cpu_realtime_runtime
    if not period and not runtime:
        return
    if not _has("cpu", "cpu.rt_period_us", ""):
        raise InvalidArgument("Your kernel does not support CPU real-time scheduler")
    if period < 0 or runtime < 0 or (period and runtime > period):
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")
