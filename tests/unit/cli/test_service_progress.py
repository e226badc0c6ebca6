"""How far a service is."""

from __future__ import annotations

from typing import Any

from cli.service.progress import progress

ACTIVE = {"n1", "n2"}


def service(**mode: Any) -> dict[str, Any]:
    return {"Spec": {"Mode": mode}}


def task(slot: int, state: str, desired: str = "running", node: str = "n1", **fields: Any) -> dict[str, Any]:
    return {"Slot": slot, "NodeID": node, "DesiredState": desired, "Status": {"State": state}, **fields}


def test_counts_running_slots() -> None:
    found = progress(service(Replicated={"Replicas": 3}), [task(1, "running"), task(2, "starting")], ACTIVE)
    assert (found.done, found.wanted, found.converged) == (1, 3, False)
    assert found.overall == "overall progress: 1 out of 3 tasks"
    assert [line.split(" [")[0] for line in found.lines] == ["1/3: running  ", "2/3: starting ", "3/3: "]


def test_a_failed_task_does_not_hide_its_successor() -> None:
    tasks = [task(1, "failed", "shutdown"), task(1, "running")]
    assert progress(service(Replicated={"Replicas": 1}), tasks, ACTIVE).converged
    tasks = [task(1, "running", "shutdown"), task(1, "preparing")]
    assert not progress(service(Replicated={"Replicas": 1}), tasks, ACTIVE).converged


def test_tasks_of_dead_nodes_do_not_count() -> None:
    assert not progress(service(Replicated={"Replicas": 1}), [task(1, "running", node="gone")], ACTIVE).converged


def test_nothing_is_wanted_of_zero_replicas() -> None:
    assert progress(service(Replicated={"Replicas": 0}), [task(1, "running", "shutdown")], ACTIVE).converged


def test_many_tasks_show_no_lines() -> None:
    assert progress(service(Replicated={"Replicas": 21}), [], ACTIVE).lines == ()


def test_errors_stand_in_the_line() -> None:
    failed = task(1, "pending")
    failed["Status"]["Err"] = "no suitable node"
    found = progress(service(Replicated={"Replicas": 1}), [failed], ACTIVE)
    assert found.lines == ("1/1: no suitable node",)


def test_a_global_service_waits_for_all_its_tasks() -> None:
    assert not progress(service(Global={}), [], ACTIVE).converged
    tasks = [task(0, "running", node="n1"), task(0, "ready", node="n2")]
    assert not progress(service(Global={}), tasks, ACTIVE).converged
    assert progress(service(Global={}), [task(0, "running", node=n) for n in ("n1", "n2")], ACTIVE).converged


def test_a_job_counts_completions_of_its_round() -> None:
    job = {**service(ReplicatedJob={"TotalCompletions": 2}), "JobStatus": {"JobIteration": {"Index": 7}}}
    old, new = {"JobIteration": {"Index": 1}}, {"JobIteration": {"Index": 7}}
    tasks = [task(1, "complete", **old), task(1, "complete", **new), task(2, "running", **new)]
    found = progress(job, tasks, ACTIVE)
    assert (found.done, found.wanted, found.job) == (1, 2, True)
