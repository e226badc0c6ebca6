"""Rolling updates, step by step, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from common.model import SECOND, ServiceMode, ServiceSpec, Task, TaskState, TaskStatus, UpdateConfig
from common.model.service import Placement, Replicated, TaskRestartPolicy
from manager.store.base import Put
from tests.simulation.cluster import Simulation, template

replace = msgspec.structs.replace


@pytest.fixture
def cluster() -> Simulation:
    made = Simulation()
    made.add_node("node0")
    made.add_node("node1")
    return made


def spec(image: str = "web:1", replicas: int = 4, **update: object) -> ServiceSpec:
    config = replace(UpdateConfig(monitor=SECOND), **update)
    return ServiceSpec(
        name="web",
        task_template=template(image, restart_policy=TaskRestartPolicy(delay=SECOND)),
        mode=ServiceMode(replicated=Replicated(replicas=replicas)),
        update_config=config,
        rollback_config=UpdateConfig(monitor=SECOND, parallelism=0),
    )


def running_images(cluster: Simulation) -> list[str]:
    service = cluster.service("web")
    new = service.spec_version
    return ["new" if task.spec_version == new else "old" for task in cluster.running("web")]


def state(cluster: Simulation) -> str:
    status = cluster.service("web").update_status
    return status.state if status else ""


def start(cluster: Simulation, before: ServiceSpec, after: ServiceSpec) -> None:
    cluster.create("web", before)
    cluster.work()
    assert len(cluster.running("web")) == 4
    cluster.update("web", after)


def rounds(cluster: Simulation) -> Iterator[list[str]]:
    """What runs after each single round of all workers."""
    for _ in range(100):
        moved = [cluster.step(task) for task in list(cluster.view.all(Task))]
        cluster.settle()
        yield running_images(cluster)
        if not any(moved):
            return


def test_stop_first_never_has_more_than_its_parallelism_missing(cluster: Simulation) -> None:
    start(cluster, spec(), spec("web:2", parallelism=2))
    counts = [len(images) for images in rounds(cluster)]
    assert min(counts) == 2
    assert running_images(cluster) == ["new"] * 4


def test_start_first_never_has_fewer_than_wanted(cluster: Simulation) -> None:
    start(cluster, spec(), spec("web:2", order="start-first"))
    counts = [len(images) for images in rounds(cluster)]
    assert min(counts) == 4
    assert running_images(cluster) == ["new"] * 4


def test_an_update_is_completed_when_its_last_task_was_watched(cluster: Simulation) -> None:
    start(cluster, spec(), spec("web:2", parallelism=0))
    cluster.work()
    assert state(cluster) == "updating"
    cluster.advance(1.1)
    assert state(cluster) == "completed"


def test_the_delay_lies_between_two_batches(cluster: Simulation) -> None:
    start(cluster, spec(), spec("web:2", parallelism=2, delay=10 * SECOND))
    cluster.work()
    assert running_images(cluster).count("new") == 2
    cluster.advance(9)
    assert running_images(cluster).count("new") == 2
    cluster.advance(2)
    assert running_images(cluster).count("new") == 4


def test_an_unhealthy_task_holds_the_update_up(cluster: Simulation) -> None:
    start(cluster, spec(), spec("web:2"))
    task = drive_first_new(cluster)
    cluster.commit(Put(replace(task, status=TaskStatus(state=TaskState.RUNNING, timestamp=cluster.now, healthy=False))))
    cluster.settle()
    cluster.advance(60)
    assert running_images(cluster).count("old") == 3
    present = cluster.view.get(Task, task.id)
    assert present is not None
    cluster.report(present, TaskState.RUNNING)
    cluster.settle()
    cluster.work()
    assert running_images(cluster) == ["new"] * 4


def drive_first_new(cluster: Simulation) -> Task:
    """Let the first new task come as far as STARTING."""
    version = cluster.service("web").spec_version
    for _ in range(20):
        for task in cluster.tasks("web"):
            if task.spec_version == version and task.status.state == TaskState.STARTING:
                return task
            cluster.step(task)
        cluster.settle()
    raise AssertionError("no new task starts")


def test_a_failing_update_pauses(cluster: Simulation) -> None:
    cluster.fails = lambda task: task.spec_version.index == 2
    start(cluster, spec(), spec("web:2", failure_action="pause"))
    cluster.work(rounds=60)
    assert state(cluster) == "paused"
    assert running_images(cluster).count("old") >= 2, "the update went on after the first failure"
    status = cluster.service("web").update_status
    assert status is not None
    assert "update paused due to failure or early termination of task" in status.message


def test_a_failing_update_rolls_back_to_the_old_version(cluster: Simulation) -> None:
    cluster.fails = lambda task: task.spec_version.index == 2
    start(cluster, spec(), spec("web:2", failure_action="rollback"))
    before = {task.id for task in cluster.tasks("web")}
    cluster.advance(30)
    service = cluster.service("web")
    assert service.spec.task_template == spec().task_template
    assert service.spec_version.index == 1
    assert service.previous_spec is None
    assert state(cluster) == "rollback_completed"
    assert len(cluster.running("web")) == 4
    assert sum(task.id in before for task in cluster.running("web")) >= 2


def test_failures_below_the_ratio_do_not_stop_an_update(cluster: Simulation) -> None:
    first: list[str] = []

    def fails(task: Task) -> bool:
        if task.spec_version.index == 2 and not first:
            first.append(task.id)
        return task.id in first

    cluster.fails = fails
    start(cluster, spec(), spec("web:2", max_failure_ratio=0.3))
    cluster.advance(30)
    assert state(cluster) == "completed"
    assert running_images(cluster) == ["new"] * 4


@pytest.mark.parametrize(
    "change",
    [
        lambda s: replace(s, labels={"a": "b"}),
        lambda s: replace(s, update_config=UpdateConfig(parallelism=3)),
        lambda s: replace(s, mode=ServiceMode(replicated=Replicated(replicas=5))),
        lambda s: replace(
            s, task_template=replace(s.task_template, restart_policy=TaskRestartPolicy(condition="none"))
        ),
        lambda s: replace(s, task_template=replace(s.task_template, placement=Placement(constraints=["node.id != x"]))),
    ],
)
def test_changes_that_need_no_new_tasks_restart_none(cluster: Simulation, change: object) -> None:
    cluster.create("web", spec())
    cluster.work()
    before = {task.id for task in cluster.running("web")}
    assert callable(change)
    cluster.update("web", change(spec()))
    cluster.advance(30)
    assert before <= {task.id for task in cluster.running("web")}


def test_constraints_that_a_node_does_not_meet_move_its_tasks(cluster: Simulation) -> None:
    cluster.create("web", spec())
    cluster.work()
    constrained = replace(spec().task_template, placement=Placement(constraints=["node.id == node1"]))
    cluster.update("web", replace(spec(), task_template=constrained))
    cluster.advance(60)
    assert {task.node_id for task in cluster.running("web")} == {"node1"}


def test_a_second_update_overtakes_the_first(cluster: Simulation) -> None:
    start(cluster, spec(), spec("web:2", delay=100 * SECOND))
    cluster.work()
    cluster.update("web", spec("web:3", parallelism=0))
    cluster.advance(10)
    assert running_images(cluster) == ["new"] * 4
    assert state(cluster) == "completed"


def test_past_templates_go_with_the_last_task_that_runs_them(cluster: Simulation) -> None:
    for number in range(2, 9):
        if number == 2:
            start(cluster, spec(), spec("web:2", parallelism=0))
        else:
            cluster.update("web", spec(f"web:{number}", parallelism=0))
        cluster.advance(10)
    kept = {task.spec_version.index for task in cluster.tasks("web")}
    assert set(cluster.service("web").past_templates) <= kept
