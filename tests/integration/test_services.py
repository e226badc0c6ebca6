"""Services by the docker command line: their whole life on one node."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.harness.clients import newer_docker
from tests.harness.services import Services
from tests.harness.wait import until


@newer_docker
def test_create_scale_and_remove(services: Services) -> None:
    services.create("web", "--replicas", "2", "--label", "tier=front", "--container-label", "a=b", "--env", "X=1")
    tasks = services.until_running("web", 2)
    assert sorted(task["Slot"] for task in tasks) == [1, 2]
    [listed] = [json.loads(line) for line in services.daemon.docker("service", "ls", "--format", "json").splitlines()]
    assert (listed["Name"], listed["Replicas"], listed["Mode"]) == ("web", "2/2", "replicated")
    container = services.api.inspect_container(tasks[0]["Status"]["ContainerStatus"]["ContainerID"])
    assert container["Name"] == f"/web.{tasks[0]['Slot']}.{tasks[0]['ID']}"
    assert container["Config"]["Labels"]["a"] == "b"
    assert container["Config"]["Labels"]["com.docker.swarm.task.id"] == tasks[0]["ID"]
    assert "X=1" in container["Config"]["Env"]
    services.daemon.docker("service", "scale", "--detach", "web=5")
    services.until_running("web", 5)
    services.daemon.docker("service", "scale", "--detach", "web=1")
    services.until_running("web", 1)
    until(lambda: len(services.containers("web")) == 1, "one container is left")
    services.daemon.docker("service", "rm", "web")
    until(lambda: not services.containers("web", all=True), "no container is left")
    assert services.api.services() == []


def test_the_client_waits_for_convergence(services: Services) -> None:
    result = services.daemon.docker_result(
        "service", "create", "--name", "web", "--no-resolve-image", "--replicas", "2", "busybox:latest", "sleep", "1000"
    )
    assert result.returncode == 0, result.stderr
    assert "converged" in result.stdout
    services.daemon.docker("service", "update", "--detach", "--stop-grace-period", "1s", "web")


def test_ps_shows_history_with_errors(services: Services) -> None:
    services.create("bad", "--restart-max-attempts", "1", "--restart-condition", "any", command=("sh", "-c", "exit 3"))
    until(lambda: len(services.tasks("bad")) == 2, "the task was tried again")
    until(lambda: all(t["Status"]["State"] == "failed" for t in services.tasks("bad")), "both tries failed")
    shown = services.daemon.docker("service", "ps", "--no-trunc", "bad")
    assert shown.count('"task: non-zero exit (3)"') == 2
    assert services.tasks("bad")[0]["Status"]["ContainerStatus"]["ExitCode"] == 3


def test_a_missing_image_is_rejected_with_its_name(services: Services) -> None:
    words = ("service", "create", "--detach", "--no-resolve-image", "--name", "ghost", "localhost:9/nosuchimage:1")
    services.daemon.docker(*words)
    task = until(
        lambda: next((t for t in services.tasks("ghost") if t["Status"]["State"] == "rejected"), None), "rejected"
    )
    assert "No such image: localhost:9/nosuchimage:1" in task["Status"]["Err"]


def test_a_killed_container_is_replaced(services: Services) -> None:
    services.create("web", "--replicas", "2")
    first = services.until_running("web", 2)
    victim = services.api.inspect_container(first[0]["Status"]["ContainerStatus"]["ContainerID"])
    os.kill(victim["State"]["Pid"], signal.SIGKILL)
    until(lambda: first[0]["ID"] not in [t["ID"] for t in services.running("web")], "the killed task is seen")
    second = services.until_running("web", 2)
    assert first[1]["ID"] in [task["ID"] for task in second]
    [failed] = [task for task in services.tasks("web") if task["ID"] == first[0]["ID"]]
    assert (failed["Status"]["State"], failed["Status"]["Err"]) == ("failed", "task: non-zero exit (137)")


def test_a_removed_container_is_replaced(services: Services) -> None:
    services.create("web")
    [first] = services.until_running("web", 1)
    services.daemon.docker("rm", "-f", first["Status"]["ContainerStatus"]["ContainerID"])
    [second] = services.until_running("web", 1, lambda task: task["ID"] != first["ID"])
    assert second["Slot"] == first["Slot"]


def test_a_completed_task_is_left_where_the_policy_says_so(services: Services) -> None:
    services.create("once", "--restart-condition", "none", command=("true",))
    until(lambda: [t["Status"]["State"] for t in services.tasks("once")] == ["complete"], "the task completed")


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_a_rolling_update_replaces_all_tasks(services: Services, order: str) -> None:
    services.create("web", "--replicas", "4", "--env", "V=1", "--update-parallelism", "2", "--update-order", order,
                    "--update-monitor", "100ms")  # fmt: skip
    services.until_running("web", 4)
    services.update("web", "--env-rm", "V", "--env-add", "V=2")
    services.until_update("web", "completed")
    tasks = services.until_running("web", 4, lambda task: services.environment(task) == ["V=2"])
    assert sorted(task["Slot"] for task in tasks) == [1, 2, 3, 4]


def test_rollback_returns_to_the_previous_spec(services: Services) -> None:
    services.create(
        "web", "--replicas", "2", "--env", "V=1", "--update-monitor", "100ms", "--rollback-monitor", "100ms"
    )
    services.until_running("web", 2)
    services.update("web", "--env-rm", "V", "--env-add", "V=2")
    services.until_update("web", "completed")
    services.daemon.docker("service", "rollback", "--detach", "web")
    services.until_update("web", "rollback_completed")
    services.until_running("web", 2, lambda task: services.environment(task) == ["V=1"])


def test_a_failing_update_pauses(services: Services) -> None:
    services.create("web", "--replicas", "3", "--update-monitor", "2s", "--update-failure-action", "pause")
    old = services.until_running("web", 3)
    services.update("web", "--args", "false")
    services.until_update("web", "paused")
    left = {task["ID"] for task in services.running("web")}
    assert left
    assert left < {task["ID"] for task in old}


def test_a_failing_update_rolls_back(services: Services) -> None:
    services.create("web", "--replicas", "2", "--update-monitor", "2s", "--update-failure-action", "rollback",
                    "--rollback-monitor", "100ms")  # fmt: skip
    services.until_running("web", 2)
    services.update("web", "--args", "false")
    services.until_update("web", "rollback_completed")
    tasks = services.until_running("web", 2)
    assert tasks[0]["Spec"]["ContainerSpec"]["Args"] == ["sleep", "100000"]


def test_an_update_waits_for_health(services: Services) -> None:
    health = ("--health-interval", "200ms", "--health-retries", "2", "--health-start-period", "0s")
    services.create("web", "--health-cmd", "test -e /tmp/ok", *health, "--update-order", "start-first",
                    "--update-monitor", "100ms", command=("sh", "-c", "touch /tmp/ok; exec sleep 100000"))  # fmt: skip
    [old] = services.until_running("web", 1)
    services.update("web", "--health-cmd", "test -e /tmp/never", "--update-failure-action", "pause")
    services.until_update("web", "paused")
    assert [task["ID"] for task in services.running("web")] == [old["ID"]]
    failed = [task for task in services.tasks("web") if task["Status"]["State"] == "failed"]
    assert any("unhealthy" in task["Status"]["Err"] for task in failed)


def test_a_task_that_becomes_unhealthy_is_replaced(services: Services) -> None:
    services.create("web", "--health-cmd", "test ! -e /tmp/sick", "--health-interval", "100ms", "--health-retries", "1")
    [first] = services.until_running("web", 1)
    services.exec(first, "touch", "/tmp/sick")
    services.until_running("web", 1, lambda task: task["ID"] != first["ID"])


def test_global_mode_runs_once_on_the_node(services: Services) -> None:
    services.create("agent", "--mode", "global")
    [task] = services.until_running("agent", 1)
    assert "Slot" not in task
    container = services.api.inspect_container(task["Status"]["ContainerStatus"]["ContainerID"])
    assert container["Name"] == f"/agent.{task['NodeID']}.{task['ID']}"


def test_a_replicated_job_runs_to_completion(services: Services) -> None:
    services.create("job", "--mode", "replicated-job", "--replicas", "3", "--max-concurrent", "2",
                    "--restart-condition", "on-failure", command=("true",))  # fmt: skip

    def complete() -> bool:
        return [task["Status"]["State"] for task in services.tasks("job")].count("complete") == 3

    until(complete, "three tasks completed")


def test_constraints_hold_tasks_back_and_say_why(services: Services) -> None:
    services.create("picky", "--constraint", "node.labels.disk==ssd")
    task = until(
        lambda: next((t for t in services.tasks("picky") if t["Status"].get("Err")), None), "a reason is given"
    )
    assert task["Status"]["State"] == "pending"
    assert "no suitable node" in task["Status"]["Err"]
    node = services.api.nodes()[0]["ID"]
    services.daemon.docker("node", "update", "--label-add", "disk=ssd", node)
    services.until_running("picky", 1)
    services.daemon.docker("node", "update", "--label-rm", "disk", node)


def test_reservations_beyond_the_node_are_not_placed(services: Services) -> None:
    services.create("huge", "--reserve-memory", "4096g")
    task = until(lambda: next((t for t in services.tasks("huge") if t["Status"].get("Err")), None), "a reason is given")
    assert "insufficient resources" in task["Status"]["Err"]


def test_templates_limits_and_hosts_reach_the_container(services: Services) -> None:
    services.create("full", "--hostname", "{{.Service.Name}}-{{.Task.Slot}}", "--env", "WHERE={{.Node.Hostname}}",
                    "--limit-memory", "64m", "--limit-cpu", "0.5", "--limit-pids", "20", "--host", "db:10.9.8.7",
                    "--user", "65534:65534", "--workdir", "/tmp", "--read-only", "--init", "--cap-drop", "NET_RAW",
                    "--mount", "type=tmpfs,target=/scratch,tmpfs-size=1m", "--ulimit", "nofile=100:200",
                    "--dns", "9.9.9.9", "--sysctl", "net.ipv4.ip_default_ttl=77")  # fmt: skip
    [task] = services.until_running("full", 1)
    assert services.exec(task, "hostname").strip() == "full-1"
    assert services.exec(task, "id", "-u").strip() == "65534"
    assert services.exec(task, "pwd").strip() == "/tmp"
    assert "10.9.8.7\tdb" in services.exec(task, "cat", "/etc/hosts")
    assert services.exec(task, "cat", "/proc/sys/net/ipv4/ip_default_ttl").strip() == "77"
    host = services.api.inspect_container(task["Status"]["ContainerStatus"]["ContainerID"])["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"], host["ReadonlyRootfs"]) == (
        64 << 20,
        500_000_000,
        20,
        True,
    )
    node = services.api.info()["Name"]
    assert f"WHERE={node}" in services.exec(task, "env")


def test_logs_of_a_service(services: Services) -> None:
    services.create("talk", "--replicas", "2", command=("sh", "-c", "echo out; echo err >&2; exec sleep 1000"))
    tasks = services.until_running("talk", 2)

    def complete() -> str | None:
        result = services.daemon.docker_result("service", "logs", "--timestamps", "talk")
        return result.stdout if result.stdout.count("out") == 2 and result.stderr.count("err") == 2 else None

    shown = until(complete, "both tasks' lines on both streams")
    assert {line.split()[1].split("@")[0].split(".")[1] for line in shown.splitlines()} == {"1", "2"}
    one = services.daemon.docker("service", "logs", "--raw", tasks[0]["ID"])
    assert one == "out\n"


def test_names_that_are_taken_and_specs_that_are_wrong_are_refused(services: Services) -> None:
    services.create("web")
    again = services.daemon.docker_result("service", "create", "--detach", "--name", "web", "busybox:latest")
    assert again.returncode != 0
    assert "name conflicts with an existing object" in again.stderr
    wrong = services.daemon.docker_result("service", "update", "--detach", "--constraint-add", "nonsense", "web")
    assert wrong.returncode != 0
    absent = services.daemon.docker_result("service", "inspect", "absent")
    assert "no such service: absent" in absent.stderr.lower()


def test_nothing_of_a_daemons_death_shows_in_running_tasks(services: Services) -> None:
    services.create("web", "--replicas", "3")
    before = services.until_running("web", 3)
    services.daemon.kill()
    survivors = [Path(f"/proc/{task['Status']['ContainerStatus']['PID']}").exists() for task in before]
    assert survivors == [True] * 3
    services.daemon.start()
    after = services.until_running("web", 3)
    assert {task["ID"] for task in after} == {task["ID"] for task in before}


def test_tasks_that_died_while_no_daemon_ran_are_replaced(services: Services) -> None:
    services.create("web", "--replicas", "2")
    before = services.until_running("web", 2)
    services.daemon.kill()
    os.kill(before[0]["Status"]["ContainerStatus"]["PID"], signal.SIGKILL)
    services.daemon.start()
    after = services.until_running("web", 2, lambda task: task["ID"] != before[0]["ID"])
    assert before[1]["ID"] in {task["ID"] for task in after}
