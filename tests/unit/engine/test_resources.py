from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from common.errors import InvalidArgument, Unsupported
from common.model.container import Resources
from common.parse import parse_object
from worker.engine import resources
from worker.engine.limits import oci_resources
from worker.engine.resources import complete
from worker.engine.ulimits import oci_limits
from worker.runtime.cgroups import Hierarchies

MB = 1 << 20


def limits(raw: dict[str, Any]) -> Resources:
    return parse_object(raw, Resources)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"Memory": MB}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 64 * MB, "MemorySwap": 32 * MB}, "Minimum memoryswap limit"),
        ({"MemorySwap": 32 * MB}, "always set the Memory limit"),
        ({"Memory": 64 * MB, "MemoryReservation": 128 * MB}, "can not be less than memory reservation"),
        ({"MemorySwappiness": 101}, "swappiness range"),
        ({"NanoCpus": 10**9, "CpuPeriod": 1000}, "Nano CPUs and CPU Period"),
        ({"NanoCpus": 10**9, "CpuQuota": 1000}, "Nano CPUs and CPU Quota"),
        ({"NanoCpus": 10**15}, "range of CPUs"),
        ({"CpuShares": -1}, "invalid CPU shares"),
        ({"CpuShares": 10**9}, "invalid CPU shares"),
        ({"CpuPeriod": 10}, "cfs period"),
        ({"CpuQuota": 10}, "cfs quota"),
        ({"CpusetCpus": "1-"}, "Invalid value"),
        ({"CpusetCpus": "100000"}, "not available"),
        ({"CpusetCpus": "0-99999999999"}, "not available"),
        ({"BlkioWeight": 5}, "blkio weight"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}]}, "not a block device"),
        ({"PidsLimit": -2}, "pids limit"),
        ({"Ulimits": [{"Name": "nope", "Soft": 1, "Hard": 1}]}, "invalid ulimit type"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 9, "Hard": 1}]}, "soft limit must be less"),
    ],
)
def test_limits_that_make_no_sense(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        complete(limits(raw))


@pytest.mark.parametrize(
    "raw",
    [
        {"CpuCount": 1},
        {"KernelMemory": 1},
        {"IOMaximumIOps": 1},
        {"CgroupParent": "/x"},
        {"DeviceRequests": [{"Count": 1}]},
    ],
)
def test_what_is_not_supported_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        complete(limits(raw))


def test_limits_above_the_machine_s_are_lowered_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.ulimits._may_raise", lambda: False)
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    completed, warnings = complete(limits({"Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": own + 1}]}))
    assert oci_limits(completed.ulimits) == [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": own}]
    assert len(warnings) == 1
    assert "nofile=100" in warnings[0]


def test_memory_alone_allows_as_much_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_has", lambda *_: True)
    assert complete(limits({"Memory": 64 * MB}))[0].memory_swap == 128 * MB
    monkeypatch.setattr(resources, "_has", lambda *_: False)
    completed, warnings = complete(limits({"Memory": 64 * MB, "MemorySwap": 64 * MB}))
    assert completed.memory_swap == -1
    assert "Memory limited without swap" in warnings[0]


def test_in_the_runtimes_words() -> None:
    raw = {
        "Memory": 64 * MB,
        "MemorySwap": -1,
        "NanoCpus": 500_000_000,
        "CpuShares": 512,
        "PidsLimit": 9,
        "OomKillDisable": True,
    }
    assert oci_resources(limits(raw)) == {
        "memory": {"limit": 64 * MB, "swap": -1, "disableOOMKiller": True},
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
        "pids": {"limit": 9},
    }
    assert oci_resources(limits({"PidsLimit": -1})) == {}
    assert oci_resources(limits({"PidsLimit": -1}), changing=True)["pids"]["limit"] > 10**6


def test_what_the_kernel_cannot_limit_is_discarded_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_has", lambda *_: False)
    completed, warnings = complete(limits({"BlkioWeight": 100}))
    assert completed.blkio_weight == 0
    assert "does not support Block I/O weight" in warnings[0]
    with pytest.raises(InvalidArgument, match="real-time"):
        complete(limits({"CpuRealtimeRuntime": 1000}))


def test_a_version_2_hierarchy_has_what_no_container_has_switched_on_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "hierarchies", lambda: Hierarchies({}, tmp_path))
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "system.slice/memory.max").touch()
    (tmp_path / "cgroup.controllers").write_text("cpu io memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    weighed, warnings = complete(limits({"BlkioWeight": 100, "Memory": 64 * MB}))
    assert (weighed.blkio_weight, weighed.memory_swap) == (100, -1)  # memory is on, and has no memory.swap.max
    assert ["swap" in warning for warning in warnings] == [True]
    with pytest.raises(InvalidArgument, match="real-time"):
        complete(limits({"CpuRealtimeRuntime": 1000}))
