"""Tasks of nodes that are gone, or down for long, end as orphans; those of a node that comes back in time do not."""

from __future__ import annotations

import pytest

from common.model import Node, ServiceMode, ServiceSpec, Task, TaskState
from common.model.service import Replicated
from manager.store.base import Delete
from tests.simulation.cluster import Simulation, template

HOUR = 3600.0


@pytest.fixture
def cluster() -> Simulation:
    """A service with two tasks, one on each node."""
    made = Simulation()
    for id in ("a", "b"):
        made.add_node(id)
    mode = ServiceMode(replicated=Replicated(replicas=2))
    made.create("web", ServiceSpec(name="web", task_template=template(), mode=mode))
    made.advance(10)
    assert sorted(task.node_id for task in made.running("web")) == ["a", "b"]
    return made


def on(cluster: Simulation, node: str) -> list[TaskState]:
    return [task.status.state for task in cluster.view.find(Task, "node", node)]


def test_a_task_on_a_node_that_is_down_keeps_its_state_for_a_day(cluster: Simulation) -> None:
    cluster.set_node("b", state="down")
    cluster.advance(23.9 * HOUR)
    assert on(cluster, "b") == [TaskState.RUNNING]
    assert [task.node_id for task in cluster.running("web")] == ["a", "a"]
    cluster.advance(0.2 * HOUR)
    assert on(cluster, "b") == [TaskState.ORPHANED]


def test_a_node_that_comes_back_ends_only_what_was_replaced(cluster: Simulation) -> None:
    kept = [task.id for task in cluster.running("web") if task.node_id == "a"]
    cluster.set_node("b", state="down")
    cluster.advance(HOUR)
    replaced = [task.id for task in cluster.running("web")]
    cluster.set_node("b", state="ready")
    cluster.advance(HOUR)
    assert on(cluster, "b") == [TaskState.SHUTDOWN]
    assert [task.id for task in cluster.running("web")] == replaced
    assert set(kept) <= set(replaced)


def test_tasks_of_a_removed_node_are_orphans_at_once(cluster: Simulation) -> None:
    cluster.set_node("b", state="down")
    node = cluster.view.get(Node, "b")
    assert node is not None
    cluster.commit(Delete(node))
    cluster.advance(1)
    assert set(on(cluster, "b")) <= {TaskState.ORPHANED}
    assert len(cluster.running("web")) == 2
