"""The tree of nodes: whatever the cluster looks like, each task goes where a look at all nodes would send it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.model import Node, NodeSpec, Task
from manager.scheduler.placement import Fits, tree
from manager.scheduler.usage import NOTHING, Load

ZONES, RACKS = "ab", "xyz"


@st.composite
def loads(draw: st.DrawFn) -> list[Load]:
    found = []
    for number in range(draw(st.integers(1, 8))):
        labels = {"zone": draw(st.sampled_from(ZONES)), "rack": draw(st.sampled_from(RACKS))}
        load = Load(Node(id=f"n{number}", spec=NodeSpec(labels=labels)))
        for service in draw(st.lists(st.sampled_from(("web", "other")), max_size=4)):
            load.place(Task(id="before", service_id=service), NOTHING)
        found.append(load)
    return found


def group(load: Load, keys: list[str]) -> tuple[str, ...]:
    return tuple(load.node.spec.labels[key] for key in keys)


def count(nodes: list[Load]) -> int:
    return sum(load.services["web"] for load in nodes)


def check_best(nodes: list[Load], keys: list[str], fits: Fits, chosen: Load) -> None:
    """On every level the branch has the fewest tasks of those with room, and in its leaf no node is better."""
    for depth in range(1, len(keys) + 1):
        branches: dict[tuple[str, ...], list[Load]] = {}
        for load in nodes:
            branches.setdefault(group(load, keys[:depth]), []).append(load)
        nodes = branches[group(chosen, keys[:depth])]
        assert count(nodes) == min(count(branch) for branch in branches.values() if any(map(fits, branch)))
    assert chosen is min(filter(fits, nodes), key=lambda load: (load.services["web"], load.tasks, load.node.id))


@given(loads(), st.lists(st.sampled_from(("zone", "rack")), unique=True, max_size=2), st.integers(1, 5))
def test_each_task_goes_to_the_best_node(nodes: list[Load], keys: list[str], limit: int) -> None:
    def fits(load: Load) -> bool:
        return load.services["web"] < limit

    root = tree("web", nodes, [f"node.labels.{key}" for key in keys], frozenset())
    while (chosen := root.best(fits)) is not None:
        check_best(nodes, keys, fits, chosen)
        chosen.place(Task(id="new", service_id="web"), NOTHING)
        root.placed()
    assert not any(map(fits, nodes))
