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
        self._heap = [(self._worth(load), load) for load in loads]
        heapq.heapify(self._heap)
        self.count = sum(load.services[service_id] for load in loads)

    def take(self, fits: Fits) -> Load | None:
        """The best node that still fits; those that do not leave for good. Give it back after placing."""
        while self._heap:
            _, load = heapq.heappop(self._heap)
            if fits(load):
                self.count += 1
                return load
        return None

    def give_back(self, load: Load) -> None:
        heapq.heappush(self._heap, (self._worth(load), load))

    def _worth(self, load: Load) -> tuple[bool, int, int, str]:
        return load.node.id in self._troubled, load.services[self._service], load.tasks, load.node.id


class Branch:
    """Nodes grouped by the value of one preference; new tasks go where the service has fewest."""

    def __init__(self, children: Sequence[Branch | Leaf]) -> None:
        self._children = list(children)
        self._last: dict[str, Branch | Leaf] = {}

    @property
    def count(self) -> int:
        return sum(child.count for child in self._children)

    def take(self, fits: Fits) -> Load | None:
        for child in sorted(self._children, key=lambda child: child.count):
            load = child.take(fits)
            if load is not None:
                self._last[load.node.id] = child
                return load
            self._children.remove(child)
        return None

    def give_back(self, load: Load) -> None:
        self._last[load.node.id].give_back(load)


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
