"""Replicas, restarts, jobs and global services in virtual time."""

from __future__ import annotations

import msgspec
import pytest

from common.model import SECOND, Cluster, Node, NodeSpec, ServiceMode, ServiceSpec, Task, TaskState
from common.model.node import ClusterSpec, Orchestration
from common.model.service import Global, GlobalJob, Placement, Replicated, ReplicatedJob, TaskRestartPolicy
from manager.store.base import Put
from tests.simulation.cluster import Simulation, template

replace = msgspec.structs.replace


@pytest.fixture
def cluster() -> Simulation:
    made = Simulation()
    for name in ("node0", "node1", "node2"):
        made.add_node(name)
    return made


def spec(mode: ServiceMode | None = None, **policy: object) -> ServiceSpec:
    restart = replace(TaskRestartPolicy(delay=SECOND), **policy)
    return ServiceSpec(name="web", task_template=template(restart_policy=restart), mode=mode or replicas(3))


def replicas(count: int) -> ServiceMode:
    return ServiceMode(replicated=Replicated(replicas=count))


def scale(cluster: Simulation, count: int) -> None:
    cluster.update("web", replace(cluster.service("web").spec, mode=replicas(count)))
    cluster.work()


def fail(cluster: Simulation, state: TaskState = TaskState.FAILED) -> Task:
    task = cluster.running("web")[0]
    cluster.report(task, state)
    cluster.settle()
    return task


def test_scaling_up_and_down(cluster: Simulation) -> None:
    cluster.create("web", spec())
    cluster.work()
    scale(cluster, 7)
    assert sorted(task.slot for task in cluster.running("web")) == [1, 2, 3, 4, 5, 6, 7]
    scale(cluster, 2)
    assert len(cluster.running("web")) == 2
    assert len(cluster.tasks("web")) == 2, "records of removed slots are gone"
    scale(cluster, 0)
    assert cluster.tasks("web") == []


def test_scaling_down_takes_tasks_that_do_not_run_first_then_from_the_busiest_node(cluster: Simulation) -> None:
    cluster.set_node("node1", availability="pause")
    cluster.set_node("node2", availability="pause")
    cluster.create("web", spec(replicas(3)))
    cluster.work()
    cluster.set_node("node1", availability="active")
    scale(cluster, 4)
    assert [task.node_id for task in cluster.running("web")] == ["node0", "node0", "node0", "node1"]
    scale(cluster, 2)
    assert sorted(task.node_id for task in cluster.running("web")) == ["node0", "node1"]


def test_a_failed_task_is_replaced_after_its_delay(cluster: Simulation) -> None:
    cluster.create("web", spec(delay=10 * SECOND))
    cluster.work()
    failed = fail(cluster)
    cluster.advance(9)
    waiting = next(task for task in cluster.tasks("web") if task.slot == failed.slot and task.id != failed.id)
    assert (waiting.desired_state, waiting.status.state) == (TaskState.READY, TaskState.READY)
    cluster.advance(2)
    assert waiting.id in {task.id for task in cluster.running("web")}


@pytest.mark.parametrize(
    ("condition", "state", "running"),
    [
        ("any", TaskState.COMPLETE, 3),
        ("any", TaskState.FAILED, 3),
        ("on-failure", TaskState.COMPLETE, 2),
        ("on-failure", TaskState.FAILED, 3),
        ("none", TaskState.COMPLETE, 2),
        ("none", TaskState.FAILED, 2),
    ],
)
def test_restart_conditions(cluster: Simulation, condition: str, state: TaskState, running: int) -> None:
    cluster.create("web", spec(condition=condition))
    cluster.work()
    fail(cluster, state)
    cluster.advance(20)
    assert len(cluster.running("web")) == running


def test_attempts_are_limited_for_good(cluster: Simulation) -> None:
    cluster.fails = lambda task: True
    cluster.create("web", spec(replicas(1), max_attempts=7))
    cluster.advance(100)
    assert cluster.running("web") == []
    newest = max(cluster.tasks("web"), key=lambda task: task.created_at)
    assert len(newest.restarts) == 7
    cluster.fails = lambda task: False
    cluster.advance(100)
    assert cluster.running("web") == []


def test_attempts_outside_of_the_window_do_not_count(cluster: Simulation) -> None:
    cluster.create("web", spec(replicas(1), max_attempts=2, window=30 * SECOND))
    cluster.work()
    for _ in range(6):
        fail(cluster)
        cluster.advance(20)
        assert len(cluster.running("web")) == 1


def test_an_update_brings_a_finished_slot_back(cluster: Simulation) -> None:
    cluster.create("web", spec(condition="none"))
    cluster.work()
    fail(cluster)
    cluster.advance(20)
    changed = replace(cluster.service("web").spec.task_template, force_update=1)
    cluster.update("web", replace(cluster.service("web").spec, task_template=changed))
    cluster.advance(60)
    assert len(cluster.running("web")) == 3


@pytest.mark.parametrize(("state", "availability"), [("down", None), (None, "drain")])
def test_tasks_leave_a_node_that_cannot_hold_them(
    cluster: Simulation, state: str | None, availability: str | None
) -> None:
    cluster.create("web", spec())
    cluster.work()
    cluster.set_node("node0", state=state, availability=availability)
    cluster.advance(20)
    assert len(cluster.running("web")) == 3
    assert "node0" not in {task.node_id for task in cluster.running("web")}
    cluster.set_node("node0", state="ready", availability="active")
    cluster.advance(20)
    stray = [t for t in cluster.view.find(Task, "node", "node0") if t.status.state == TaskState.RUNNING]
    assert stray == [], "a node that comes back stops what was replaced"


def test_a_paused_node_keeps_its_tasks(cluster: Simulation) -> None:
    cluster.create("web", spec())
    cluster.work()
    before = {task.id for task in cluster.running("web")}
    cluster.set_node("node0", availability="pause")
    cluster.advance(20)
    assert {task.id for task in cluster.running("web")} == before


def test_a_global_service_follows_the_nodes(cluster: Simulation) -> None:
    cluster.create("web", spec(ServiceMode(global_=Global())))
    cluster.work()
    assert [task.node_id for task in cluster.running("web")] == ["node0", "node1", "node2"]
    cluster.add_node("node3")
    cluster.set_node("node0", availability="drain")
    cluster.set_node("node1", state="down")
    cluster.advance(20)
    assert sorted(task.node_id for task in cluster.running("web")) == ["node1", "node2", "node3"][1:]
    cluster.set_node("node0", availability="active")
    cluster.set_node("node1", state="ready")
    cluster.advance(20)
    assert sorted(task.node_id for task in cluster.running("web")) == ["node0", "node1", "node2", "node3"]


def test_a_global_service_keeps_to_its_constraints(cluster: Simulation) -> None:
    constrained = replace(template(), placement=Placement(constraints=["node.labels.zone == a"]))
    cluster.create("web", ServiceSpec(name="web", task_template=constrained, mode=ServiceMode(global_=Global())))
    cluster.work()
    assert cluster.running("web") == []
    relabel(cluster, "node2", {"zone": "a"})
    assert [task.node_id for task in cluster.running("web")] == ["node2"]
    relabel(cluster, "node2", {})
    assert cluster.tasks("web") == []


def test_changed_labels_move_tasks(cluster: Simulation) -> None:
    for name in ("node0", "node1"):
        relabel(cluster, name, {"zone": "a"})
    constrained = replace(template(), placement=Placement(constraints=["node.labels.zone == a"]))
    cluster.create("web", ServiceSpec(name="web", task_template=constrained, mode=replicas(4)))
    cluster.work()
    relabel(cluster, "node0", {"zone": "b"})
    cluster.advance(20)
    assert [task.node_id for task in cluster.running("web")] == ["node1"] * 4


def relabel(cluster: Simulation, name: str, labels: dict[str, str]) -> None:
    node = cluster.view.get(Node, name)
    assert node is not None
    cluster.commit(Put(replace(node, spec=NodeSpec(labels=labels))))
    cluster.settle()
    cluster.work()


def test_a_job_completes_with_limited_concurrency(cluster: Simulation) -> None:
    job = ServiceMode(replicated_job=ReplicatedJob(max_concurrent=2, total_completions=5))
    cluster.create("web", spec(job))
    most = 0
    for _ in range(60):
        for task in list(cluster.view.all(Task)):
            cluster.step(task)
        cluster.settle()
        active = [task for task in cluster.tasks("web") if not task.status.state.terminal]
        most = max(most, len(active))
    assert [task.status.state for task in cluster.tasks("web")] == [TaskState.COMPLETE] * 5
    assert most == 2


def test_a_failing_job_is_tried_again(cluster: Simulation) -> None:
    failed: set[str] = set()

    def fails(task: Task) -> bool:
        if len(failed) < 2:
            failed.add(task.id)
        return task.id in failed

    cluster.fails = fails
    cluster.create("web", spec(ServiceMode(replicated_job=ReplicatedJob(max_concurrent=1, total_completions=2))))
    cluster.advance(60)
    states = [task.status.state for task in cluster.tasks("web")]
    assert states.count(TaskState.COMPLETE) == 2
    assert states.count(TaskState.FAILED) == 2


def test_a_global_job_runs_once_on_each_node(cluster: Simulation) -> None:
    cluster.create("web", spec(ServiceMode(global_job=GlobalJob())))
    cluster.advance(60)
    assert [(t.node_id, t.status.state) for t in sorted(cluster.tasks("web"), key=lambda t: t.node_id)] == [
        (f"node{number}", TaskState.COMPLETE) for number in range(3)
    ]


def test_history_is_kept_up_to_the_limit(cluster: Simulation) -> None:
    known = cluster.view.get(Cluster, "cluster")
    assert known is not None
    limit = ClusterSpec(orchestration=Orchestration(task_history_retention_limit=3))
    cluster.commit(Put(replace(known, spec=limit)))
    cluster.create("web", spec(replicas(1)))
    cluster.work()
    for _ in range(8):
        fail(cluster)
        cluster.advance(2)
    assert len(cluster.tasks("web")) == 3


def test_a_removed_service_leaves_nothing(cluster: Simulation) -> None:
    cluster.create("web", spec())
    cluster.work()
    cluster.set_node("node0", state="down")
    cluster.remove("web")
    cluster.work()
    assert list(cluster.view.all(Task)) == []
