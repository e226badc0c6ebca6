"""What excludes a node from holding a task. Each filter answers check(load) and explains itself in Docker's words.

A filter is made for one group of equal tasks; `explain(count)` says why `count` nodes did not do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from common.model import Task, TaskSpec
from manager.scheduler.constraints import fits_platform, parse
from manager.scheduler.usage import Load, claim, port_keys, reservation


class Filter(Protocol):
    def check(self, load: Load) -> bool: ...

    def explain(self, count: int) -> str: ...


class Ready:
    """The node is ready and takes new tasks."""

    def check(self, load: Load) -> bool:
        return load.node.status.state == "ready" and load.node.spec.availability == "active"

    def explain(self, count: int) -> str:
        return f"{_nodes(count)} not available for new tasks"


class Resources:
    """What the task reserves is free on the node."""

    def __init__(self, spec: TaskSpec) -> None:
        self._wanted = reservation(spec)

    def check(self, load: Load) -> bool:
        has, wanted = load.node.description.resources, self._wanted
        if wanted.nano_cpus and load.nano_cpus + wanted.nano_cpus > has.nano_cpus:
            return False
        if wanted.memory_bytes and load.memory + wanted.memory_bytes > has.memory_bytes:
            return False
        return not wanted.generic_resources or claim(load, wanted.generic_resources) is not None

    def explain(self, count: int) -> str:
        return f"insufficient resources on {_nodes(count)}"


class Constraints:
    def __init__(self, spec: TaskSpec) -> None:
        self._constraints = [parse(text) for text in (spec.placement.constraints if spec.placement else ())]

    def check(self, load: Load) -> bool:
        return all(constraint.allows(load.node) for constraint in self._constraints)

    def explain(self, count: int) -> str:
        return f"scheduling constraints not satisfied on {_nodes(count)}"


class Platforms:
    def __init__(self, spec: TaskSpec) -> None:
        self._platforms = spec.placement.platforms if spec.placement else []

    def check(self, load: Load) -> bool:
        return fits_platform(load.node, self._platforms)

    def explain(self, count: int) -> str:
        return f"unsupported platform on {_nodes(count)}"


class HostPorts:
    """The ports that the task publishes on its own node are free there."""

    def __init__(self, task: Task) -> None:
        self._wanted = port_keys(task.endpoint_ports)

    def check(self, load: Load) -> bool:
        return load.ports.isdisjoint(self._wanted)

    def explain(self, count: int) -> str:
        return f"host-mode port already in use on {_nodes(count)}"


class MaxReplicas:
    def __init__(self, task: Task, spec: TaskSpec) -> None:
        self._service = task.service_id
        self._limit = spec.placement.max_replicas if spec.placement else 0

    def check(self, load: Load) -> bool:
        return not self._limit or load.services[self._service] < self._limit

    def explain(self, count: int) -> str:
        return "max replicas per node limit exceed"


def filters(task: Task, spec: TaskSpec) -> list[Filter]:
    """All filters for tasks like this one, in the order in which they are tried."""
    return [Ready(), Resources(spec), Constraints(spec), Platforms(spec), HostPorts(task), MaxReplicas(task, spec)]


class Verdicts:
    """Counts which filter turned each node away, for the sentence that the user reads."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self._filters = filters
        self._failures: Counter[int] = Counter()

    def fits(self, load: Load) -> bool:
        for number, filter in enumerate(self._filters):
            if not filter.check(load):
                self._failures[number] += 1
                return False
        return True

    def explain(self) -> str:
        reasons = [self._filters[number].explain(count) for number, count in self._failures.most_common()]
        return f"no suitable node ({'; '.join(reasons)})" if reasons else "no suitable node"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
