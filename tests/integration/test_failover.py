"""What a cluster gets over: lost and frozen managers, lost and lonely workers, broken links and full disks. Nothing restarts in vain."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from examples.lab.host import Host
from examples.lab.layout import LabError
from tests.harness.lab import Formed, lab, tasks_on
from tests.harness.services import SLEEP
from tests.harness.wait import until

REPLICAS = 7
GRACE = 5.0  # seconds of silence after which a node is down
CREATE = ("service", "create", "--detach", "--no-resolve-image", "--stop-signal", "KILL", "--restart-delay", "0s")

Tasks = dict[str, str]  # id → host


@pytest.fixture(scope="module")
def cluster() -> Iterator[Formed]:
    with lab(managers=3, workers=2) as made:
        made.cluster.ask(*CREATE, "--name", "web", "--replicas", str(REPLICAS), "busybox", *SLEEP)
        made.cluster.until_running("web", REPLICAS)
        yield made


@pytest.fixture(autouse=True)
def whole(cluster: Formed) -> Iterator[None]:
    """Every test finds all well, and leaves it so: each host runs the tasks that the managers think, and no others."""
    yield
    cluster.heal()
    for host in cluster.hosts:
        if host.init is not None:
            host.thaw()
            host.unfill()
    cluster.each(Host.start)
    cluster.cluster.until_ready()
    for name in cluster.cluster.ask("service", "ls", "--format", "{{.Name}}").split():
        if name != "web":
            cluster.cluster.ask("service", "rm", name)
    cluster.cluster.until_running("web", REPLICAS)
    for host in cluster.hosts:
        cluster.cluster.until(lambda at=host: as_wanted(cluster, at), f"{host.name} runs what it should")  # type: ignore[misc]


def as_wanted(made: Formed, host: Host) -> bool:
    return tasks_on(host) == {id for id, at in running(made).items() if at == host.name}


def running(made: Formed) -> Tasks:
    return {task.id: task.host for task in made.cluster.running("web")}


def on(tasks: Tasks, *hosts: Host) -> Tasks:
    names = [host.name for host in hosts]
    return {id: at for id, at in tasks.items() if at in names}


def but(tasks: Tasks, *hosts: Host) -> Tasks:
    names = [host.name for host in hosts]
    return {id: at for id, at in tasks.items() if at not in names}


def others(made: Formed, host: Host) -> list[Host]:
    return [manager for manager in made.managers if manager.name != host.name]


def names(hosts: list[Host]) -> str:
    return ",".join(host.name for host in hosts)


def create(manager: Host, name: str) -> str:
    """Ask once for a service of no replicas: "" for done, or why not. What was not sure to fail may be there."""
    try:
        manager.docker(*CREATE, "--name", name, "--replicas", "0", "busybox", *SLEEP, timeout=15)
    except LabError as error:
        return str(error)
    return ""


def until_created(manager: Host, name: str) -> None:
    until(lambda: (said := create(manager, name)) == "" or "already exists" in said, f"{name} is created")


def services(manager: Host) -> set[str]:
    return set(manager.docker("service", "ls", "--format", "{{.Name}}", timeout=15).split())


def until_another_leads(made: Formed, leader: Host) -> Host:
    def another() -> Host | None:
        for manager in others(made, leader):
            lines = manager.docker("node", "ls", "--format", "{{json .}}", timeout=15).splitlines()
            found = [n["Hostname"] for n in map(json.loads, lines) if n["ManagerStatus"] == "Leader"]
            if found and found != [leader.name]:
                return made.host(found[0])
        return None

    found = until(another, "another manager leads")
    assert found is not None
    return found


def busiest(made: Formed) -> Host:
    tasks = Counter(running(made).values())
    return max(made.workers, key=lambda worker: tasks[worker.name])


def test_a_leader_without_power_is_replaced_and_nothing_elsewhere_restarts(cluster: Formed) -> None:
    before, leader = running(cluster), cluster.cluster.leader()
    leader.kill()
    until_created(others(cluster, leader)[0], "next")
    cluster.cluster.until_running("web", REPLICAS, without=[leader])
    kept = but(before, leader)
    assert kept.items() <= running(cluster).items()
    leader.start()
    cluster.cluster.until_ready()
    assert services(leader) == {"web", "next"}
    until(lambda: not tasks_on(leader) & set(before), "its old tasks are over")
    assert kept.items() <= running(cluster).items()


def test_a_lost_workers_tasks_run_elsewhere_and_end_there_nowhere_else(cluster: Formed) -> None:
    before, worker = running(cluster), busiest(cluster)
    assert on(before, worker)
    worker.kill()
    cluster.cluster.until_running("web", REPLICAS, without=[worker])
    after = running(cluster)
    assert but(before, worker).items() <= after.items()
    worker.start()
    cluster.cluster.until_ready()
    until(lambda: not tasks_on(worker), "what ran there is over")
    assert running(cluster) == after


def test_a_worker_that_is_cut_off_works_on_until_it_is_back(cluster: Formed) -> None:
    worker = busiest(cluster)
    before = running(cluster)
    mine = set(on(before, worker))
    assert mine
    cluster.cut(worker.name)
    cluster.cluster.until_running("web", REPLICAS, without=[worker])
    after = running(cluster)
    assert but(before, worker).items() <= after.items()
    assert tasks_on(worker) == mine
    cluster.heal()
    cluster.cluster.until_ready()
    until(lambda: not tasks_on(worker), "the duplicates have ended")
    assert running(cluster) == after


def test_a_frozen_leader_restarts_nothing_when_it_goes_on(cluster: Formed) -> None:
    before, leader = running(cluster), cluster.cluster.leader()
    leader.freeze("manager")
    late = subprocess.Popen(
        ["docker", "-H", leader.url, *CREATE, "--name", "late", "--replicas", "0", "busybox", *SLEEP],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_another_leads(cluster, leader)
    until_created(others(cluster, leader)[0], "next")
    left = time.monotonic() + GRACE * 1.5
    until(lambda: time.monotonic() > left, "the frozen manager has been silent for longer than the grace")
    assert running(cluster) == before
    leader.thaw()
    _, refusal = late.communicate(timeout=30)
    cluster.cluster.until_ready()
    assert cluster.cluster.leader().name != leader.name
    wanted = {"web", "next"} | ({"late"} if late.returncode == 0 else set())
    for manager in cluster.managers:
        found = services(manager)
        assert found - {"late"} == wanted - {"late"}
        assert late.returncode or "late" in found, "what was acknowledged is lost"
        assert not late.returncode or refusal.strip()
    assert running(cluster) == before


@pytest.mark.parametrize("one_way", [True, False], ids=["out", "both"])
def test_a_leader_that_cannot_reach_the_others_is_replaced(cluster: Formed, one_way: bool) -> None:
    before, leader = running(cluster), cluster.cluster.leader()
    cluster.cut(leader.name, names(others(cluster, leader)), one_way=one_way)
    until_another_leads(cluster, leader)
    until_created(others(cluster, leader)[1], "next")
    assert but(before, leader).items() <= running(cluster).items()
    cluster.heal()
    cluster.cluster.until_ready()
    assert services(leader) == {"web", "next"}
    assert but(before, leader).items() <= running(cluster).items()


def test_a_full_disk_of_the_leader_loses_nothing(cluster: Formed) -> None:
    before, leader = running(cluster), cluster.cluster.leader()
    leader.fill()
    done: set[str] = set()
    for number, manager in enumerate([*others(cluster, leader), leader]):
        said = create(manager, f"full{number}")
        assert not said or "is full" in said or "no quorum" in said or "may still commit" in said, said
        done |= set() if said else {f"full{number}"}
    assert running(cluster) == before
    leader.unfill()
    until_created(leader, "again")
    for manager in cluster.managers:
        assert done | {"web", "again"} <= services(manager)
    leader.kill_daemon()
    leader.start()
    cluster.cluster.until_ready()
    assert done | {"web", "again"} <= services(leader)
    assert running(cluster) == before


def test_managers_that_stand_still_restart_nothing(cluster: Formed) -> None:
    before = running(cluster)
    for manager in cluster.managers:
        manager.freeze("manager")
    left = time.monotonic() + GRACE * 1.3
    until(lambda: time.monotonic() > left, "they have been silent for longer than the grace")
    for manager in cluster.managers:
        manager.thaw()
    until_created(cluster.managers[0], "next")
    cluster.cluster.until_ready()
    assert running(cluster) == before
