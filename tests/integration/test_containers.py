"""Containers' lives through the docker command line and the API: one daemon, real namespaces and processes."""

from __future__ import annotations

import json
import platform
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.clients import newer_docker
from tests.harness.daemon import Daemon
from tests.harness.machine import Snapshot
from tests.harness.wait import until

SLEEP = ("busybox", "sleep", "1000")


@pytest.fixture(autouse=True)
def _clean(shoald: Daemon) -> Iterator[None]:
    """Every test leaves the daemon without containers, and the machine as it was."""
    before = shoald.snapshot()
    yield
    for container in shoald.docker("ps", "-aq").split():
        shoald.docker("rm", "-f", "-v", container, check=False)
    until(lambda: not _leftovers(before, shoald), f"leftovers: {_leftovers(before, shoald)}", timeout=10)


def _leftovers(before: Snapshot, shoald: Daemon) -> list[str]:
    """What containers left; the ingress network may come at any time and is not theirs."""
    found = before.differences(shoald.snapshot())
    return [line for line in found if not line.startswith(("nft:", "links: new br-"))]


def inspect(shoald: Daemon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shoald.docker("inspect", name))[0]
    return found


def run(shoald: Daemon, *arguments: str) -> str:
    return shoald.docker("run", "--rm", *arguments).strip()


def test_run_prints_output_and_passes_the_exit_code_on(shoald: Daemon) -> None:
    done = shoald.docker_result("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nosuch",), 127, "executable file not found in $PATH"),
        (("/no/such",), 127, "no such file or directory"),
        (("/etc/passwd",), 126, "permission denied"),
        (("/tmp",), 126, "permission denied"),
    ],
)
def test_a_command_that_cannot_run_gives_dockers_exit_code(
    shoald: Daemon, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = shoald.docker_result("run", "--rm", "busybox", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert shoald.docker("ps", "-aq") == ""


def test_a_failed_start_is_remembered(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "bad", "busybox", "nosuch")
    assert shoald.docker_result("start", "bad").returncode != 0
    state = inspect(shoald, "bad")["State"]
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    assert "executable file not found" in state["Error"]


def test_life_cycle_states_and_answers(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "web", *SLEEP)
    assert inspect(shoald, "web")["State"]["Status"] == "created"
    for action, status, again in (("start", 204, 304), ("stop?t=0", 204, 304), ("start", 204, 304)):
        assert _post(shoald, f"/containers/web/{action}") == status
        assert _post(shoald, f"/containers/web/{action}") == again
    shoald.docker("pause", "web")
    assert inspect(shoald, "web")["State"]["Paused"]
    assert _post(shoald, "/containers/web/pause") == 409
    shoald.docker("unpause", "web")
    first = inspect(shoald, "web")["State"]["StartedAt"]
    shoald.docker("restart", "-t", "0", "web")
    assert inspect(shoald, "web")["State"]["StartedAt"] != first
    shoald.docker("kill", "web")
    state = inspect(shoald, "web")["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 137, 0)
    assert _post(shoald, "/containers/web/kill") == 409
    shoald.docker("rm", "web")
    assert _post(shoald, "/containers/web/start") == 404


def _post(shoald: Daemon, path: str, body: object = None) -> int:
    options = ["-X", "POST", "-o", "/dev/null", "-w", "%{http_code}"]
    if body is not None:
        options += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return int(shoald.curl(path, *options))


def test_names_are_unique_and_can_be_changed(shoald: Daemon) -> None:
    one = shoald.docker("create", "--name", "one", *SLEEP).strip()
    refused = shoald.docker_result("create", "--name", "one", *SLEEP)
    assert f'The container name "/one" is already in use by container "{one}"' in refused.stderr
    shoald.docker("rename", "one", "two")
    assert inspect(shoald, one)["Name"] == "/two"
    shoald.docker("create", "--name", "one", *SLEEP)
    assert shoald.docker_result("rename", "one", "two").returncode == 1


@pytest.mark.parametrize("name", ["../up", "a b", "x", "ä" * 3, "-dash", "a/b", "n" * 300])
def test_hostile_names_are_refused(shoald: Daemon, name: str) -> None:
    done = shoald.docker_result("create", "--name", name, *SLEEP)
    assert done.returncode == 1
    assert "nvalid" in done.stderr


def test_wait_conditions(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "ww", "busybox", "sh", "-c", "exit 3")
    assert _wait(shoald, "not-running") == 0
    with ThreadPoolExecutor() as pool:
        next_exit, removed = pool.submit(_wait, shoald, "next-exit"), pool.submit(_wait, shoald, "removed")
        until(lambda: len(threading.enumerate()) > 2, "both wait")
        shoald.docker("start", "ww")
        assert next_exit.result() == 3
        shoald.docker("rm", "ww")
        assert removed.result() == 3
    assert _post(shoald, "/containers/ww/wait") == 404


def _wait(shoald: Daemon, condition: str) -> int:
    code: int = json.loads(shoald.curl(f"/containers/ww/wait?condition={condition}", "-X", "POST"))["StatusCode"]
    return code


def test_auto_remove_takes_anonymous_volumes_along(shoald: Daemon) -> None:
    shoald.docker("run", "--rm", "-v", "/data", "-v", "kept:/kept", "busybox", "touch", "/data/x", "/kept/y")
    until(lambda: shoald.docker("volume", "ls", "-q").split() == ["kept"], "only the named volume is left")
    assert run(shoald, "-v", "kept:/k:ro", "busybox", "ls", "/k") == "y"
    shoald.docker("volume", "rm", "kept")


def test_events_come_in_dockers_order(shoald: Daemon) -> None:
    start = time.time()
    shoald.docker("run", "-d", "--name", "ev", *SLEEP)
    shoald.docker("stop", "-t", "0", "ev")
    shoald.docker("rm", "ev")
    filters = quote(json.dumps({"type": ["container"], "container": ["ev"]}))
    lines = shoald.curl(f"/events?since={start}&until={time.time()}&filters={filters}").splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["Action"] for event in events] == ["create", "start", "kill", "kill", "die", "stop", "destroy"]
    died = events[4]["Actor"]["Attributes"]
    assert (died["exitCode"], died["execDuration"], died["image"], died["name"]) == ("137", "0", "busybox", "ev")


def test_restart_policies(shoald: Daemon) -> None:
    shoald.docker("run", "-d", "--name", "fail", "--restart", "on-failure:2", "busybox", "false")
    until(lambda: inspect(shoald, "fail")["State"]["Status"] == "exited", "two retries are over")
    assert inspect(shoald, "fail")["RestartCount"] == 2
    shoald.docker("run", "-d", "--name", "again", "--restart", "always", "busybox", "true")
    until(lambda: inspect(shoald, "again")["RestartCount"] >= 2, "it restarts again and again")
    shoald.docker("stop", "again")
    assert inspect(shoald, "again")["State"]["Status"] == "exited"
    assert "can't create 'AutoRemove' container with restart policy" in shoald.curl(
        "/containers/create", "-X", "POST", "-H", "Content-Type: application/json", "-d",
        json.dumps({"Image": "busybox", "HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}}),
    )  # fmt: skip


def test_health_checks_pass_through_their_states(shoald: Daemon) -> None:
    check = [
        "--health-cmd",
        "test -e /tmp/ok || { echo missing; exit 1; }",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
    ]
    shoald.docker("run", "-d", "--name", "hc", *check, *SLEEP)
    assert inspect(shoald, "hc")["State"]["Health"]["Status"] == "starting"
    until(lambda: inspect(shoald, "hc")["State"]["Health"]["Status"] == "unhealthy", "it becomes unhealthy")
    assert inspect(shoald, "hc")["State"]["Health"]["Log"][-1]["Output"] == "missing\n"
    shoald.docker("exec", "hc", "touch", "/tmp/ok")
    until(lambda: inspect(shoald, "hc")["State"]["Health"]["Status"] == "healthy", "it becomes healthy")
    assert "(healthy)" in shoald.docker("ps")
    assert shoald.docker("ps", "-q", "--filter", "health=healthy") != ""
    now = str(int(time.time()) + 1)
    events = shoald.docker(
        "events", "--since", "0", "--until", now, "--filter", "container=hc", "--format", "{{json .}}"
    )
    probe = next(json.loads(line) for line in events.splitlines() if "test -e" in line)["Actor"]["Attributes"]["execID"]
    actions = [
        event for event in map(json.loads, events.splitlines()) if probe in event["Actor"]["Attributes"].values()
    ]
    assert [event["Action"].partition(":")[0] for event in actions] == ["exec_create", "exec_start", "exec_die"]
    assert actions[0]["Action"].startswith("exec_create: /bin/sh -c test -e")
    assert actions[2]["Actor"]["Attributes"]["exitCode"] == "1"


def test_a_slow_health_check_times_out(shoald: Daemon) -> None:
    check = [
        "--health-cmd",
        "sleep 100",
        "--health-interval",
        "50ms",
        "--health-timeout",
        "100ms",
        "--health-retries",
        "1",
    ]
    shoald.docker("run", "-d", "--name", "hc", *check, *SLEEP)
    until(lambda: inspect(shoald, "hc")["State"]["Health"]["Status"] == "unhealthy", "it becomes unhealthy")
    assert "exceeded timeout" in inspect(shoald, "hc")["State"]["Health"]["Log"][-1]["Output"]


def test_the_client_writes_the_id_to_a_file(shoald: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "id"
    shoald.docker("run", "-d", "--cidfile", str(file), "--name", "noted", *SLEEP)
    assert inspect(shoald, "noted")["Id"] == file.read_text()
    assert inspect(shoald, "noted")["HostConfig"]["ContainerIDFile"] == str(file)


def test_few_open_files_are_allowed(shoald: Daemon) -> None:
    """Fewer than the runtime itself needs."""
    count = ("sh", "-c", "ulimit -n; ulimit -Hn")
    assert shoald.docker("run", "--rm", "--ulimit", "nofile=10", "busybox", *count).split() == ["10", "10"]
    shoald.docker("run", "-d", "--name", "few", "--ulimit", "nofile=5:40", *SLEEP)
    assert (
        shoald.docker("exec", "few", "sh", "-c", "until [ $(ulimit -n) = 5 ]; do :; done; ulimit -Hn").strip() == "40"
    )


def test_limits_reach_the_container(shoald: Daemon) -> None:
    flags = [
        "--memory",
        "64m",
        "--cpu-shares",
        "512",
        "--cpus",
        "0.5",
        "--pids-limit",
        "50",
        "--ulimit",
        "nofile=100:200",
    ]
    shoald.docker("run", "-d", "--name", "lim", *flags, *SLEEP)
    host = inspect(shoald, "lim")["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        64 << 20,
        128 << 20,
        500_000_000,
        50,
    )
    assert shoald.docker("exec", "lim", "sh", "-c", "ulimit -n").strip() == "100"
    stats = json.loads(shoald.curl("/containers/lim/stats?stream=false"))
    assert (stats["memory_stats"]["limit"], stats["pids_stats"]["limit"]) == (64 << 20, 50)
    shoald.docker("update", "--memory", "128m", "--memory-swap", "256m", "--pids-limit", "-1", "lim")
    stats = json.loads(shoald.curl("/containers/lim/stats?stream=false"))
    assert stats["memory_stats"]["limit"] == 128 << 20
    assert inspect(shoald, "lim")["HostConfig"]["Memory"] == 128 << 20


def test_a_limit_above_the_machines_is_clamped_with_a_warning(shoald: Daemon) -> None:
    created = json.loads(
        shoald.curl(
            "/containers/create", "-X", "POST", "-H", "Content-Type: application/json", "-d",
            json.dumps({
                "Image": "busybox", "Cmd": ["sh", "-c", "ulimit -Hn"],
                "HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 10**9}]},
            }),
        )
    )  # fmt: skip
    shoald.docker("start", "-a", created["Id"])
    if created["Warnings"]:
        assert "nofile" in created["Warnings"][0]


def test_security_options(shoald: Daemon) -> None:
    caps = "grep CapEff /proc/self/status | cut -f2"
    assert run(shoald, "busybox", "sh", "-c", caps) == "00000000a80425fb"
    assert run(shoald, "--cap-drop", "all", "--cap-add", "chown", "busybox", "sh", "-c", caps) == "0000000000000001"
    assert run(shoald, "--user", "1000:1000", "busybox", "sh", "-c", caps) == "0000000000000000"
    status = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status | cut -f2"
    assert run(shoald, "busybox", "sh", "-c", status).split() == ["0", "2"]
    hardened = [
        "--security-opt",
        "no-new-privileges",
        "--security-opt",
        "seccomp=unconfined",
        "--security-opt",
        "label=disable",
    ]
    assert run(shoald, *hardened, "busybox", "sh", "-c", status).split() == ["1", "0"]
    assert (
        "Read-only file system" in shoald.docker_result("run", "--rm", "--read-only", "busybox", "touch", "/x").stderr
    )
    hidden = "grep -c ' /sys/firmware ' /proc/mounts || true"
    assert run(shoald, "busybox", "sh", "-c", hidden) == "1"
    assert run(shoald, "--privileged", "busybox", "sh", "-c", hidden) == "0"
    assert run(shoald, "--privileged", "busybox", "sh", "-c", status).split() == ["0", "0"]


def test_a_seccomp_profile_of_the_users(shoald: Daemon, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
    done = shoald.docker_result("run", "--rm", "--security-opt", f"seccomp={profile}", "busybox", "mkdir", "/x")
    assert "Operation not permitted" in done.stderr


def test_users_and_groups(shoald: Daemon) -> None:
    assert run(shoald, "--user", "daemon", "busybox", "id") == "uid=1(daemon) gid=1(daemon) groups=1(daemon)"
    assert run(shoald, "--user", "5:6", "--group-add", "users", "busybox", "id", "-G") == "6 100"
    done = shoald.docker_result("run", "--rm", "--user", "ghost", "busybox", "true")
    assert "unable to find user ghost: no matching entries in passwd file" in done.stderr


def test_mounts(shoald: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host")
    assert run(shoald, "-v", f"{tmp_path}:/in:ro", "busybox", "cat", "/in/file") == "host"
    done = shoald.docker_result("run", "--rm", "-v", f"{tmp_path}:/in:ro", "busybox", "touch", "/in/x")
    assert "Read-only file system" in done.stderr
    run(shoald, "-v", f"{tmp_path}/made/here:/in", "busybox", "touch", "/in/x")
    assert (tmp_path / "made" / "here" / "x").exists()
    done = shoald.docker_result("run", "--rm", "--mount", f"type=bind,src={tmp_path}/none,dst=/in", "busybox", "true")
    assert "bind source path does not exist" in done.stderr
    sized = run(shoald, "--tmpfs", "/t:size=1m,exec", "busybox", "sh", "-c", "grep ' /t ' /proc/mounts")
    assert "size=1024k" in sized
    assert "noexec" not in sized
    assert "size=65536k" in run(shoald, "busybox", "grep", "/dev/shm", "/proc/mounts")
    assert "size=1024k" in run(shoald, "--shm-size", "1m", "busybox", "grep", "/dev/shm", "/proc/mounts")


@newer_docker
def test_volumes_are_filled_and_shared(shoald: Daemon) -> None:
    assert "passwd" in run(shoald, "-v", "etc:/etc", "busybox", "ls", "/etc")
    assert run(shoald, "-v", "empty:/etc:nocopy", "busybox", "sh", "-c", "ls /etc | grep passwd || true") == ""
    shoald.docker("run", "-d", "--name", "donor", "-v", "etc:/data", *SLEEP)
    assert "passwd" in run(shoald, "--volumes-from", "donor:ro", "busybox", "ls", "/data")
    assert "is in use" in shoald.docker_result("volume", "rm", "etc").stderr
    sub = "type=volume,src=etc,dst=/x,volume-subpath=passwd"
    assert "root" in run(shoald, "--mount", sub, "busybox", "cat", "/x")
    run(shoald, "-v", "etc:/e", "busybox", "ln", "-s", "/etc", "/e/out")
    done = shoald.docker_result(
        "run", "--rm", "--mount", "type=volume,src=etc,dst=/x,volume-subpath=out", "busybox", "true"
    )
    assert done.returncode == 125
    shoald.docker("rm", "-f", "donor")
    shoald.docker("volume", "rm", "etc", "empty")


def test_namespaces(shoald: Daemon) -> None:
    shoald.docker("run", "-d", "--name", "one", "--ipc", "shareable", "--hostname", "first", *SLEEP)
    assert run(shoald, "--pid", "container:one", "busybox", "ps", "-o", "args").splitlines()[1] == "sleep 1000"
    assert run(shoald, "--network", "container:one", "busybox", "hostname") == "first"
    shoald.docker("exec", "one", "touch", "/dev/shm/shared")
    assert run(shoald, "--ipc", "container:one", "busybox", "ls", "/dev/shm") == "shared"
    assert int(run(shoald, "--pid", "host", "busybox", "sh", "-c", "ls -d /proc/[0-9]* | wc -l")) > 5
    everything = [word for kind in ("uts", "pid", "ipc", "network", "userns") for word in (f"--{kind}", "host")]
    assert run(shoald, *everything, "busybox", "hostname") == platform.node()
    assert shoald.address in run(shoald, "--network", "host", "busybox", "ip", "addr")
    done = shoald.docker_result("run", "--rm", "--ipc", "container:nope", "busybox", "true")
    assert "No such container: nope" in done.stderr


def test_sysctls_init_and_devices(shoald: Daemon) -> None:
    assert run(shoald, "--sysctl", "net.ipv4.ip_forward=1", "busybox", "cat", "/proc/sys/net/ipv4/ip_forward") == "1"
    assert run(shoald, "--init", "busybox", "cat", "/proc/1/comm") == "docker-init"
    assert (
        run(shoald, "--device", "/dev/null:/dev/zilch:r", "busybox", "sh", "-c", "test -c /dev/zilch && echo yes")
        == "yes"
    )
    done = shoald.docker_result("run", "--rm", "--device", "/dev/nonesuch", "busybox", "true")
    assert "no such file or directory" in done.stderr


def test_list_filters(shoald: Daemon) -> None:
    shoald.docker("run", "-d", "--name", "aa", "--label", "x=1", "-p", "127.0.0.1::80", "-v", "vol:/v", *SLEEP)
    shoald.docker("create", "--name", "bb", "--expose", "90", *SLEEP)
    shoald.docker_result("run", "--name", "cc", "busybox", "sh", "-c", "exit 4")

    def listed(*filters: str) -> set[str]:
        flags = [word for text in filters for word in ("--filter", text)]
        return set(shoald.docker("ps", "-a", "--format", "{{.Names}}", *flags).split())

    assert listed() == {"aa", "bb", "cc"}
    assert listed("status=running") == {"aa"}
    assert listed("exited=4") == {"cc"}
    assert listed("label=x") == listed("label=x=1") == listed("volume=vol") == listed("volume=/v") == {"aa"}
    assert listed("publish=80") == {"aa"}
    assert listed("expose=90/tcp") == {"bb"}
    assert listed("before=bb") == {"aa"}
    assert listed("since=bb") == {"cc"}
    assert listed("ancestor=busybox", "name=^/?b") == {"bb"}
    assert listed("network=bridge") == {"aa", "bb", "cc"}
    assert listed("is-task=true") == set()
    assert listed("health=none") == {"aa", "bb", "cc"}
    assert shoald.docker("ps", "-n", "1", "--format", "{{.Names}}").split() == ["cc"]
    assert "invalid filter" in shoald.docker_result("ps", "--filter", "nope=1").stderr
    shoald.docker("container", "prune", "-f")
    assert listed() == {"aa"}
    shoald.docker("rm", "-f", "aa")
    shoald.docker("volume", "rm", "vol")


@pytest.mark.parametrize(
    "host",
    [
        {"Links": ["a:b"]}, {"Isolation": "hyperv"}, {"StorageOpt": {"size": "1g"}}, {"UsernsMode": "private"},
        {"VolumeDriver": "nfs"}, {"Runtime": "nope"}, {"CpuCount": 1}, {"KernelMemory": 1 << 30}, {"Memory": 100},
        {"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]}, {"CapAdd": ["NOPE"]}, {"SecurityOpt": ["nope=1"]},
        {"LogConfig": {"Type": "syslog"}}, {"PidMode": "odd"}, {"Binds": ["relative/x:/y"]}, {"Binds": ["/a:/"]},
        {"Binds": ["/a:/b", "/c:/b"]}, {"RestartPolicy": {"Name": "sometimes"}}, {"Nope": 1}, {"Memory": "much"},
        {"PortBindings": {"80/icmp": [{"HostPort": "1"}]}}, {"PortBindings": {"99999/tcp": []}}, {"Tmpfs": {"/x": "loop"}},
        {"OomScoreAdj": 5000}, {"Sysctls": {"vm.swappiness": "1"}}, {"CpuShares": 10**9}, {"CpusetCpus": "a"},
        {"Mounts": [{"Type": "npipe", "Target": "/x"}]},
    ],
)  # fmt: skip
def test_what_is_wrong_or_not_supported_is_refused(shoald: Daemon, host: dict[str, Any]) -> None:
    body = {"Image": "busybox", "HostConfig": host}
    assert _post(shoald, "/containers/create", body) == 400
    assert shoald.docker("ps", "-aq") == ""


def test_docker_py_drives_a_container(shoald: Daemon) -> None:
    client = shoald.client()
    try:
        container = client.containers.run(
            "busybox", ["sh", "-c", "echo hello; sleep 1000"], detach=True, name="py", mem_limit="32m"
        )
        until(lambda: container.logs() == b"hello\n", "it has said hello")
        container.reload()
        assert (container.status, container.attrs["HostConfig"]["Memory"]) == ("running", 32 << 20)
        container.update(mem_limit="64m", memswap_limit="128m")
        container.stop(timeout=0)
        assert container.wait()["StatusCode"] == 137
        container.remove()
        assert client.containers.list(all=True) == []
    finally:
        client.close()


def test_a_removal_without_v_keeps_anonymous_volumes(shoald: Daemon) -> None:
    shoald.docker("create", "--name", "one", "-v", "/data", *SLEEP)
    volume = inspect(shoald, "one")["Mounts"][0]["Name"]
    shoald.docker("rm", "one")
    assert shoald.docker("volume", "ls", "-q").split() == [volume]
    shoald.docker("volume", "rm", volume)


def test_networks_are_connected_at_once_or_at_the_next_start(shoald: Daemon) -> None:
    shoald.docker("network", "create", "side")
    shoald.docker("create", "--name", "one", *SLEEP)
    shoald.docker("network", "connect", "--alias", "uno", "side", "one")
    shoald.docker("start", "one")
    endpoints = inspect(shoald, "one")["NetworkSettings"]["Networks"]
    assert set(endpoints) == {"bridge", "side"}
    assert endpoints["side"]["IPAddress"]
    shoald.docker("network", "disconnect", "side", "one")
    assert set(inspect(shoald, "one")["NetworkSettings"]["Networks"]) == {"bridge"}
    shoald.docker("network", "connect", "side", "one")
    assert shoald.docker("exec", "one", "ls", "/sys/class/net").split() == ["eth0", "eth1", "lo"]
    again = shoald.docker_result("network", "connect", "side", "one")
    assert "already exists in network side" in again.stderr
    shoald.docker("rm", "-f", "one")
    shoald.docker("network", "rm", "side")
