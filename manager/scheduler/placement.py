"""Placing a group of equal tasks in one pass: spread by preferences first, then by load.

Among nodes of one branch the one with the fewest tasks of the service wins, then the one with the fewest tasks at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from common.model import Node, TaskSpec
from manager.scheduler.usage import Load

Fits = Callable[[Load], bool]


class Leaf:
    """A heap of nodes, the least loaded first."""

    def __init__(self, service_id: str, loads: Sequence[Load], troubled: frozenset[str]) -> None:
        self._service = service_id
        self._troubled = troubled
        self._heap = [self._entry(load) for load in loads]
        self.count = sum(entry[1] for entry in self._heap)
        heapq.heapify(self._heap)

    def best(self, fits: Fits) -> Load | None:
        """The best node that fits; those that do not leave for good."""
        while self._heap:
            load = self._heap[0][-1]
            if fits(load):
                return load
            heapq.heappop(self._heap)
        return None

    def placed(self) -> None:
        """A task was placed on the node that `best` returned."""
        self.count += 1
        heapq.heapreplace(self._heap, self._entry(self._heap[0][-1]))

    def _entry(self, load: Load) -> tuple[bool, int, int, str, Load]:
        return load.node.id in self._troubled, load.services.get(self._service, 0), load.tasks, load.node.id, load


class Branch:
    """Nodes grouped by the value of one preference; new tasks go where the service has fewest."""

    def __init__(self, children: Sequence[Branch | Leaf]) -> None:
        self._heap = [(child.count, number, child) for number, child in enumerate(children)]
        heapq.heapify(self._heap)
        self.count: int = sum(child.count for child in children)

    def best(self, fits: Fits) -> Load | None:
        """See Leaf.best."""
        while self._heap:
            load = self._heap[0][-1].best(fits)
            if load is not None:
                return load
            heapq.heappop(self._heap)
        return None

    def placed(self) -> None:
        self.count += 1
        _, number, child = self._heap[0]
        child.placed()
        heapq.heapreplace(self._heap, (child.count, number, child))


def tree(service_id: str, loads: Sequence[Load], keys: Sequence[str], troubled: frozenset[str]) -> Branch | Leaf:
    """The nodes by the values of the spread descriptors `keys`, outermost first."""
    if not keys:
        return Leaf(service_id, loads, troubled)
    groups: dict[str, list[Load]] = {}
    for load in loads:
        groups.setdefault(_label(load.node, keys[0]), []).append(load)
    return Branch([tree(service_id, group, keys[1:], troubled) for group in groups.values()])


def preferences(spec: TaskSpec) -> list[str]:
    given = spec.placement.preferences if spec.placement else ()
    return [preference.spread.spread_descriptor for preference in given if preference.spread]


def _label(node: Node, descriptor: str) -> str:
    """The node's value for node.labels.<key> or engine.labels.<key>; "" where it has none, as a branch of its own."""
    group, _, key = descriptor.partition(".labels.")
    labels = node.spec.labels if group == "node" else node.description.engine.labels
    return labels.get(key, "")
