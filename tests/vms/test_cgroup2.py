"""Containers on a kernel whose control groups are version 2's: limits, counters, devices, freezing, kills; and what no namespace has
(AppArmor, NFS, SCTP). Each test reads the kernel's own files in the machine.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError
from docker.models.containers import Container

from examples.lab.hosts import Host
from tests.harness.wait import until

pytestmark = pytest.mark.slow
MB = 1 << 20
SLEEP = ["sleep", "100000"]
SCTP = 132  # the protocol's number


@pytest.fixture(autouse=True)
def clean(vm: Host, client: docker.DockerClient) -> Iterator[None]:
    """Every test's containers go; no control group and no mount may be left of them."""
    yield
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    left = vm.run("sh", "-c", "ls -d /sys/fs/cgroup/shoal/*/ 2>/dev/null; grep -E 'overlay|nfs4' /proc/mounts || true")
    assert left == ""


def group(vm: Host, container: Container, *files: str) -> list[str]:
    """The texts of files of the container's group, each in one line."""
    show = f"cd /sys/fs/cgroup/shoal/{container.id} && for file in {' '.join(files)}; do echo $(cat $file); done"
    return vm.run("sh", "-c", show).splitlines()


def update(client: docker.DockerClient, container: Container, **limits: Any) -> None:
    """docker-py does not know all of them."""
    api = client.api
    assert api._result(api._post_json(api._url("/containers/{0}/update", container.id), data=limits), True) == {
        "Warnings": []
    }


def test_the_machine_is_one_of_version_2(client: docker.DockerClient) -> None:
    info = client.info()
    assert (info["CgroupVersion"], info["Warnings"], info["OomKillDisable"]) == ("2", [], False)
    assert all(info[name] for name in ("MemoryLimit", "SwapLimit", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit"))
    assert {"name=apparmor", "name=cgroupns"} <= set(info["SecurityOptions"])


def test_limits_reach_the_kernel_and_change(vm: Host, client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", SLEEP, detach=True, mem_limit="64m", memswap_limit="96m", mem_reservation="32m", cpu_shares=512,
        cpu_quota=50_000, cpu_period=100_000, cpuset_cpus="1", pids_limit=20, blkio_weight=300,
        device_read_bps=[{"Path": "/dev/vda", "Rate": MB}], device_write_iops=[{"Path": "/dev/vda", "Rate": 100}],
    )  # fmt: skip
    files = (
        "memory.max",
        "memory.swap.max",
        "memory.low",
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus",
        "pids.max",
        "io.weight",
        "io.max",
    )
    assert group(vm, container, *files) == [
        str(64 * MB), str(32 * MB), str(32 * MB), "20", "50000 100000", "1", "20", "default 2930",
        f"254:0 rbps={MB} wbps=max riops=max wiops=100",
    ]  # fmt: skip
    container.update(
        mem_limit="128m", memswap_limit="256m", mem_reservation="20m", cpu_shares=2048, cpu_quota=20_000, cpu_period=50_000,
        cpuset_cpus="0-1", blkio_weight=500,
    )  # fmt: skip
    update(client, container, PidsLimit=30)
    changed = [str(128 * MB), str(128 * MB), str(20 * MB), "79", "20000 50000", "0-1", "30", "default 4950"]
    assert group(vm, container, *files[:-1]) == changed
    update(client, container, MemorySwap=-1, PidsLimit=-1)
    swap, pids = group(vm, container, "memory.swap.max", "pids.max")
    assert swap == "max"
    assert int(pids) >= 4_194_304
    exit_code, seen = container.exec_run(
        ["sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/memory.max; mkdir /sys/fs/cgroup/x"]
    )
    assert exit_code == 1  # the group is mounted read-only, and is its namespace's root
    assert seen.splitlines()[:2] == [b"0::/", str(128 * MB).encode()]


def test_counters_are_dockers(vm: Host, client: docker.DockerClient) -> None:
    script = "dd if=/dev/vda of=/dev/null bs=1M count=8; dd if=/dev/zero of=/file bs=1M count=4 conv=fsync; while :; do :; done"
    container = client.containers.run(
        "busybox", ["sh", "-c", script], detach=True, devices=["/dev/vda:/dev/vda:r"], cpu_quota=50_000, mem_limit="64m",
        pids_limit=20,
    )  # fmt: skip
    until(lambda: "4+0 records out" in container.logs().decode(), "it has read and written")
    until(lambda: _counted(container.stats(stream=False)), "its reads are counted")
    samples = container.stats(stream=True, decode=True)
    first, second, third = (next(samples) for _ in range(3))
    assert first["pids_stats"] == {"current": 1, "limit": 20}
    assert "percpu_usage" not in third["cpu_stats"]["cpu_usage"]
    assert third["precpu_stats"] == second["cpu_stats"]
    assert 0.2 < _cpu_share(third) < 0.8  # of one processor, by its quota
    assert (
        third["cpu_stats"]["throttling_data"]["throttled_periods"]
        > first["cpu_stats"]["throttling_data"]["throttled_periods"]
    )
    memory = third["memory_stats"]
    assert memory["limit"] == 64 * MB
    assert 0 < memory["usage"] < 64 * MB
    assert memory["stats"]["file"] > MB
    assert third["networks"]["eth0"].keys() >= {"rx_bytes", "tx_bytes"}


def _counted(sample: dict[str, Any]) -> bool:
    values = {entry["op"]: entry["value"] for entry in sample["blkio_stats"]["io_service_bytes_recursive"] or []}
    return values.get("read", 0) > 4 * MB and values.get("write", 0) >= 4 * MB


def _cpu_share(sample: dict[str, Any]) -> float:
    """As `docker stats` computes it, 1.0 for one processor."""
    now, before = sample["cpu_stats"], sample["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    share: float = used / (now["system_cpu_usage"] - before["system_cpu_usage"]) * now["online_cpus"]
    return share


def test_our_command_line_shows_them(vm: Host, client: docker.DockerClient) -> None:
    client.containers.run("busybox", SLEEP, detach=True, name="shown", mem_limit="64m")
    assert "64MiB" in vm.shoal("stats", "--no-stream", "shown")
    assert "sleep 100000" in vm.shoal("top", "shown")
    vm.shoal("update", "--memory", "80m", "--memory-swap", "80m", "shown")
    assert "80MiB" in vm.shoal("stats", "--no-stream", "shown")


def test_pausing(vm: Host, client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    container.pause()
    assert "frozen 1" in group(vm, container, "cgroup.events")[0]
    container.reload()
    assert container.status == "paused"
    assert container.stats(stream=False)["memory_stats"]["usage"] > 0
    with pytest.raises(APIError, match="paused"):
        container.exec_run("true")
    container.unpause()
    assert "frozen 0" in group(vm, container, "cgroup.events")[0]
    assert container.exec_run(["echo", "thawed"]).output == b"thawed\n"
    container.pause()
    container.kill()  # reaches a frozen process as well
    assert container.wait()["StatusCode"] == 137


def test_memory_runs_out(client: docker.DockerClient) -> None:
    began = int(time.time()) - 1
    container = client.containers.run(
        "busybox", ["tail", "/dev/zero"], detach=True, mem_limit="32m", memswap_limit="32m"
    )
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.attrs["State"]["OOMKilled"] is True
    script = "tail /dev/zero; sleep 100000"
    parent = client.containers.run("busybox", ["sh", "-c", script], detach=True, mem_limit="32m", memswap_limit="32m")

    def told() -> bool:
        parent.reload()
        return bool(parent.attrs["State"]["OOMKilled"] and parent.attrs["State"]["Running"])

    until(told, "a child's death is told while the container runs on")
    assert parent.stats(stream=False)["memory_stats"]["failcnt"] >= 1
    events = client.events(since=began, until=int(time.time()) + 1, decode=True, filters={"event": "oom"})
    assert {event["id"] for event in events} == {container.id, parent.id}


def test_processes_run_out(vm: Host, client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True, pids_limit=8)
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done"
    assert b"can't fork" in container.exec_run(["sh", "-c", script]).output
    assert group(vm, container, "pids.events")[0] != "max 0"
    assert 1 < len(container.top()["Processes"]) <= 8


def test_devices_go_through_a_program_in_the_kernel(client: docker.DockerClient) -> None:
    def run(script: str, **options: Any) -> bytes:
        output: bytes = client.containers.run("busybox", ["sh", "-c", script], remove=True, stderr=True, **options)
        return output

    with pytest.raises(ContainerError, match="Operation not permitted"):
        run("mknod /tmp/k c 1 11 && : >/tmp/k")
    assert run("mknod /tmp/k c 1 11 && : >/tmp/k; echo $?", device_cgroup_rules=["c 1:11 rw"]) == b"0\n"
    assert b"1+0 records out" in run("dd if=/dev/disk of=/dev/null count=1", devices=["/dev/vda:/dev/disk:r"])
    with pytest.raises(ContainerError, match="Operation not permitted"):
        run(": <>/dev/disk", devices=["/dev/vda:/dev/disk:r"])
    assert b"1+0 records out" in run("dd if=/dev/vda of=/dev/null count=1", privileged=True)
    assert run("echo x >/dev/null && head -c 3 /dev/zero | wc -c") == b"3\n"


def test_namespaces_of_groups(client: docker.DockerClient) -> None:
    def run(**options: Any) -> bytes:
        output: bytes = client.containers.run("busybox", ["cat", "/proc/self/cgroup"], remove=True, **options)
        return output

    assert run() == run(cgroupns="private") == b"0::/\n"
    assert run(cgroupns="host").startswith(b"0::/shoal/")
    mkdir = ["sh", "-c", "mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x && echo made"]
    assert client.containers.run("busybox", mkdir, remove=True, privileged=True) == b"made\n"


def test_the_daemon_is_killed_and_comes_back(vm: Host, client: docker.DockerClient) -> None:
    run = client.containers.run
    page = "echo hello >/index.html; exec httpd -f -h / -p 80"
    web = run("busybox", ["sh", "-c", page], detach=True, ports={"80/tcp": 8080}, mem_limit="64m")
    paused = run("busybox", SLEEP, detach=True)
    paused.pause()
    short = run("busybox", ["sh", "-c", "while [ ! -e /go ]; do sleep 0.2; done; exit 7"], detach=True)
    fetch = vm.lab.rack.command("curl", "-sS", "--max-time", "20", f"http://{vm.ip}:8080/")
    until(
        lambda: subprocess.run(fetch, capture_output=True, check=False).stdout == b"hello\n",
        "the port answers",
        every=0.5,
    )
    pid = group(vm, short, "cgroup.procs")[0].split()[0]
    vm.run("touch", "/run/shoald.off")
    try:
        vm.run("pkill", "-9", "-P", "1", "-f", "shoal daemon")
        assert subprocess.run(fetch, capture_output=True, check=False).stdout == b"hello\n"
        vm.run("touch", f"/proc/{pid}/root/go")
        until(lambda: group(vm, short, "cgroup.procs") == [""], "one ends meanwhile", every=0.2)
    finally:
        vm.run("rm", "/run/shoald.off")
        vm.wait()
    for container in (web, paused, short):
        container.reload()
    assert [web.status, paused.status, short.status] == ["running", "paused", "exited"]
    assert short.attrs["State"]["ExitCode"] == 7
    assert web.exec_run(["cat", "/index.html"]).output == b"hello\n"
    assert web.stats(stream=False)["memory_stats"]["limit"] == 64 * MB
    paused.unpause()
    assert subprocess.run(fetch, capture_output=True, check=False).stdout == b"hello\n"


def test_sctp_ports(vm: Host, client: docker.DockerClient) -> None:
    """Both ends are the machine's own Python: the network between machines need not know SCTP."""
    server = (
        f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {SCTP}); s.bind(('', 81)); s.listen()\n"
        "print('listening', flush=True)\nwhile True: s.accept()[0].send(b'by sctp')"
    )
    container = client.containers.run(
        "busybox", ["chroot", "/host", "python3", "-c", server], detach=True, ports={"81/sctp": 8081},
        volumes={"/": {"bind": "/host", "mode": "ro"}}, security_opt=["apparmor=unconfined"],
    )  # fmt: skip
    until(lambda: b"listening" in container.logs(), "the server listens")
    for address in ("127.0.0.1", vm.ip):
        script = f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, {SCTP}); s.settimeout(20)"
        assert vm.run("python3", "-c", f"{script}; s.connect(('{address}', 8081)); print(s.recv(9))") == "b'by sctp'\n"


def test_nfs_volumes(vm: Host, client: docker.DockerClient) -> None:
    vm.run("sh", "-c", NFS_SERVER)
    options = {"type": "nfs", "o": f"addr={vm.ip},rw,nfsvers=4.2", "device": ":/"}
    volume = client.volumes.create("shared", driver="local", driver_opts=options)
    try:
        script = ["sh", "-c", "cat /data/there; echo new >/data/written"]
        binds = {"shared": {"bind": "/data", "mode": "rw"}}
        assert client.containers.run("busybox", script, remove=True, volumes=binds) == b"served\n"
        assert vm.run("cat", "/srv/nfs/written") == "new\n"
    finally:
        volume.remove()


NFS_SERVER = """set -e
mkdir -p /srv/nfs; mount -t tmpfs tmpfs /srv/nfs; echo served >/srv/nfs/there
modprobe nfsd; mount -t nfsd nfsd /proc/fs/nfsd
echo '/srv/nfs *(rw,no_root_squash,no_subtree_check,fsid=0,insecure)' >/etc/exports
rpcbind; exportfs -ra; rpc.nfsd 1 --no-udp -N 3; rpc.mountd --no-nfs-version 3
"""


def test_the_default_apparmor_profile(vm: Host, client: docker.DockerClient) -> None:
    def run(*script: str, **options: Any) -> bytes:
        output: bytes = client.containers.run("busybox", list(script), remove=True, stderr=True, **options)
        return output

    current = ("cat", "/proc/self/attr/current")
    assert run(*current) == run(*current, security_opt=["apparmor=docker-default"]) == b"docker-default (enforce)\n"
    assert run(*current, security_opt=["apparmor=unconfined"]) == run(*current, privileged=True) == b"unconfined\n"
    mount = ("sh", "-c", "mount -t tmpfs none /tmp && echo mounted")
    with pytest.raises(ContainerError, match="ermission denied"):
        run(*mount, cap_add=["SYS_ADMIN"])
    assert run(*mount, cap_add=["SYS_ADMIN"], security_opt=["apparmor=unconfined"]) == b"mounted\n"
    container = client.containers.run("busybox", SLEEP, detach=True)
    assert container.attrs["AppArmorProfile"] == "docker-default"
    assert container.exec_run(["cat", "/proc/self/attr/current"]).output == b"docker-default (enforce)\n"
    with pytest.raises(APIError, match="'nonesuch' is not loaded"):
        run("true", security_opt=["apparmor=nonesuch"])
    assert "docker-default" in json.dumps(vm.run("cat", "/sys/kernel/security/apparmor/profiles"))
