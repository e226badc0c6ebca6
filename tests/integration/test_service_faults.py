"""Services through bad days: managers and daemons that die at any moment, drained nodes, hanging and crashing tasks."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.harness.services import Services
from tests.harness.wait import until

SEED = 20240501


def manager_pid(services: Services) -> int:
    """The manager is the daemon's child with the state folder in its command line."""
    wanted = f"{services.daemon.state}/settings.json"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = _command(entry)
            if wanted in words and "manager" in words:
                return int(entry.name)
    raise AssertionError("no manager runs")


def _command(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def test_a_manager_that_dies_is_started_again_and_touches_no_task(services: Services) -> None:
    services.create("web", "--replicas", "3")
    before = services.until_running("web", 3)
    killed = manager_pid(services)
    os.kill(killed, signal.SIGKILL)
    os.kill(before[0]["Status"]["ContainerStatus"]["PID"], signal.SIGKILL)
    until(lambda: services.daemon.docker_result("service", "ls").returncode == 0, "a manager answers again")
    after = services.until_running("web", 3, lambda task: task["ID"] != before[0]["ID"])
    assert manager_pid(services) != killed
    assert {task["ID"] for task in before[1:]} <= {task["ID"] for task in after}


@pytest.mark.slow
def test_a_daemon_killed_at_any_moment_of_scaling_converges_and_leaks_nothing(services: Services) -> None:
    dice = random.Random(SEED)
    services.create("web", "--replicas", "1")
    for _ in range(8):
        replicas = dice.randrange(0, 8)
        services.daemon.docker("service", "scale", "--detach", f"web={replicas}")
        time.sleep(dice.uniform(0, 0.6))  # the moment of the kill is what this test varies
        services.daemon.kill()
        services.daemon.start()
        services.until_running("web", replicas)
    until(lambda: len(services.containers("web")) == replicas, "as many containers as replicas")


def test_a_service_removed_while_no_daemon_ran_to_end_it(services: Services) -> None:
    services.create("web", "--replicas", "3")
    services.until_running("web", 3)
    services.daemon.docker("service", "rm", "web")
    services.daemon.kill()
    services.daemon.start()
    until(lambda: not services.containers("web", all=True), "the containers are gone")


def test_a_drained_node_gives_its_tasks_up_and_takes_them_back(services: Services) -> None:
    node = services.api.nodes()[0]["ID"]
    services.create("web", "--replicas", "2")
    services.until_running("web", 2)
    services.daemon.docker("node", "update", "--availability", "drain", node)
    until(lambda: not services.containers("web"), "no task runs on the drained node")
    services.daemon.docker("node", "update", "--availability", "active", node)
    services.until_running("web", 2)


def test_a_task_that_ignores_its_signal_is_killed_after_its_grace_period(services: Services) -> None:
    stubborn = ("sh", "-c", "trap '' TERM; while true; do sleep 1; done")
    services.create("web", "--stop-signal", "TERM", "--stop-grace-period", "1s", command=stubborn)
    [task] = services.until_running("web", 1)
    services.daemon.docker("service", "scale", "--detach", "web=0")
    until(
        lambda: not Path(f"/proc/{task['Status']['ContainerStatus']['PID']}").exists(), "the task is dead", timeout=15
    )


def test_a_crash_loop_waits_its_delay_between_tries(services: Services) -> None:
    services.create("bad", "--restart-delay", "400ms", command=("false",))
    until(lambda: len(services.tasks("bad")) >= 3, "three tries")
    ends = sorted(task["Status"]["Timestamp"] for task in services.tasks("bad") if task["Status"]["State"] == "failed")
    begins = sorted(task["CreatedAt"] for task in services.tasks("bad"))
    assert len(begins) - len(ends) <= 1


def test_a_command_that_does_not_exist_fails_with_a_sentence(services: Services) -> None:
    services.create("bad", "--restart-condition", "none", command=("/no/such/program",))
    task = until(
        lambda: next((t for t in services.tasks("bad") if t["Status"]["State"] == "failed"), None), "it failed"
    )
    assert "starting container failed" in task["Status"]["Err"]
    assert "/no/such/program" in task["Status"]["Err"]


def test_a_task_over_its_memory_limit_says_so(services: Services) -> None:
    eat = ("sh", "-c", "tail /dev/zero")
    services.create("fat", "--limit-memory", "16m", "--restart-condition", "none", command=eat)
    task = until(
        lambda: next((t for t in services.tasks("fat") if t["Status"]["State"] == "failed"), None), "it failed"
    )
    assert task["Status"]["Err"] == "task: non-zero exit (137): out of memory"


def test_force_replaces_every_task(services: Services) -> None:
    services.create("web", "--replicas", "2", "--update-parallelism", "0", "--update-monitor", "100ms")
    before = services.until_running("web", 2)
    services.update("web", "--force")
    old = {task["ID"] for task in before}
    services.until_running("web", 2, lambda task: task["ID"] not in old)


def test_an_update_of_an_old_version_is_refused(services: Services) -> None:
    services.create("web")
    services.until_running("web", 1)
    shown = services.inspect("web")
    services.update("web", "--label-add", "a=b")
    path = f"/v1.44/services/{shown['ID']}/update?version={shown['Version']['Index']}"
    answer = services.daemon.curl(path, "-X", "POST", "-H", "Content-Type: application/json", "-d", '{"Name": "web"}')
    assert "update out of sequence" in answer


def test_a_named_volume_outlives_its_tasks(services: Services) -> None:
    services.create("db", "--mount", "type=volume,source=data,target=/data")
    [first] = services.until_running("db", 1)
    services.exec(first, "sh", "-c", "echo kept >/data/file")
    services.update("db", "--force")
    [second] = services.until_running("db", 1, lambda task: task["ID"] != first["ID"])
    assert services.exec(second, "cat", "/data/file") == "kept\n"
    services.remove("db")
    services.daemon.docker("volume", "rm", "data")


def test_logs_are_followed_over_replacements(services: Services) -> None:
    services.create("talk", command=("sh", "-c", "echo hello; exec sleep 100000"))
    [first] = services.until_running("talk", 1)
    with services.client("service", "logs", "--follow", "--raw", "talk") as shown:
        until(lambda: shown() == "hello\n", "the first task's line")
        os.kill(first["Status"]["ContainerStatus"]["PID"], signal.SIGKILL)
        until(lambda: shown() == "hello\nhello\n", "its successor's line")
