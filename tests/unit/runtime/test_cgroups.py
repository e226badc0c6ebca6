"""Control groups' paths and counters, on made-up hierarchies of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.runtime.cgroup_stats import host_memory, stats
from worker.runtime.cgroups import Cgroup, Hierarchies, parse_mountinfo

HYBRID = """25 24 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
27 25 0:24 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
28 25 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
29 25 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
"""
PURE = "25 24 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_a_hybrid_layout_counts_as_version_1() -> None:
    found = parse_mountinfo(HYBRID)
    assert found.version == 1
    assert found.v1["cpuacct"] == found.v1["cpu"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert found.v2 == Path("/sys/fs/cgroup/unified")
    assert Cgroup("/shoal/x", found).folder("memory") == Path("/sys/fs/cgroup/memory/shoal/x")


def test_a_pure_layout_is_version_2() -> None:
    found = parse_mountinfo(PURE)
    assert (found.version, found.v1) == (2, {})
    assert Cgroup("/shoal/x", found).folder("memory") == Path("/sys/fs/cgroup/shoal/x")


@pytest.fixture
def v1(tmp_path: Path) -> Cgroup:
    mounts = {name: tmp_path / name for name in ("cpu", "cpuacct", "memory", "pids", "blkio", "freezer")}
    files = {
        "cpuacct/cpuacct.usage": "1500", "cpuacct/cpuacct.usage_percpu": "1000 500 \n",
        "cpuacct/cpuacct.stat": "user 3\nsystem 2\n", "cpu/cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 9\n",
        "memory/memory.usage_in_bytes": "4096", "memory/memory.max_usage_in_bytes": "8192", "memory/memory.failcnt": "7",
        "memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.stat": "cache 10\ntotal_inactive_file 3\n",
        "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "pids/pids.current": "3", "pids/pids.max": "max", "pids/cgroup.procs": "11\n12\n", "pids/sub/cgroup.procs": "13\n",
        "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 0\nTotal 4096\n",
        "freezer/freezer.state": "FREEZING\n",
    }  # fmt: skip
    return _make(tmp_path, files, Hierarchies(mounts, None))


@pytest.fixture
def v2(tmp_path: Path) -> Cgroup:
    files = {
        "cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 4\nnr_throttled 1\nthrottled_usec 9\n",
        "memory.current": "4096", "memory.max": "1048576", "memory.stat": "anon 1\ninactive_file 3\n",
        "memory.events": "oom 1\noom_kill 1\n", "pids.current": "3", "pids.max": "100", "cgroup.procs": "11\n",
        "io.stat": "8:0 rbytes=4096 wbytes=10 rios=1 wios=2 dbytes=0 dios=0\n", "cgroup.freeze": "0\n",
    }  # fmt: skip
    return _make(tmp_path, {f"./{name}": text for name, text in files.items()}, Hierarchies({}, tmp_path))


def _make(top: Path, files: dict[str, str], where: Hierarchies) -> Cgroup:
    for name, text in files.items():
        controller, _, rest = name.partition("/")
        path = top / controller / "shoal/c" / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Cgroup("/shoal/c", where)


def test_counters_of_version_1(v1: Cgroup) -> None:
    got = stats(v1)
    usage = {"total_usage": 1500, "percpu_usage": [1000, 500], "usage_in_kernelmode": 20_000_000}
    assert got["cpu_stats"]["cpu_usage"] == usage | {"usage_in_usermode": 30_000_000}
    assert got["cpu_stats"]["throttling_data"] == {"periods": 4, "throttled_periods": 1, "throttled_time": 9}
    assert got["cpu_stats"]["system_cpu_usage"] > 0
    assert got["cpu_stats"]["online_cpus"] > 0
    memory = {"usage": 4096, "max_usage": 8192, "failcnt": 7, "limit": host_memory()}
    assert got["memory_stats"] == memory | {"stats": {"cache": 10, "total_inactive_file": 3}}
    assert got["pids_stats"] == {"current": 3}
    read = {"major": 8, "minor": 0, "op": "read", "value": 4096}
    assert got["blkio_stats"]["io_service_bytes_recursive"][0] == read
    assert len(got["blkio_stats"]["io_service_bytes_recursive"]) == 2


def test_counters_of_version_2(v2: Cgroup) -> None:
    got = stats(v2)
    usage = {"total_usage": 1_500_000, "usage_in_kernelmode": 500_000, "usage_in_usermode": 1_000_000}
    assert got["cpu_stats"]["cpu_usage"] == usage
    assert got["cpu_stats"]["throttling_data"]["throttled_time"] == 9000
    memory = {"usage": 4096, "failcnt": 1, "limit": 1048576}
    assert got["memory_stats"] == memory | {"stats": {"anon": 1, "inactive_file": 3}}
    assert got["pids_stats"] == {"current": 3, "limit": 100}
    assert [e["value"] for e in got["blkio_stats"]["io_service_bytes_recursive"]] == [4096, 10]
    assert [e["value"] for e in got["blkio_stats"]["io_serviced_recursive"]] == [1, 2]


def test_processes_freezing_and_kills(v1: Cgroup) -> None:
    assert v1.pids() == [11, 12, 13]
    assert v1.oom_kills() == 2
    assert v1.frozen()
    v1.thaw()
    assert not v1.frozen()


def test_the_same_of_version_2(v2: Cgroup) -> None:
    assert (v2.pids(), v2.oom_kills(), v2.frozen()) == ([11], 1, False)


def test_a_group_that_is_gone_gives_zeros(tmp_path: Path) -> None:
    gone = Cgroup("/shoal/none", Hierarchies({}, tmp_path))
    assert stats(gone)["memory_stats"]["usage"] == 0
    assert (gone.pids(), gone.frozen(), gone.oom_kills()) == ([], False, 0)
    assert gone.remove()


def test_removing_takes_groups_below_first(tmp_path: Path) -> None:
    (tmp_path / "shoal/c/inner/more").mkdir(parents=True)
    assert Cgroup("/shoal/c", Hierarchies({}, tmp_path)).remove()
    assert list((tmp_path / "shoal").iterdir()) == []
