"""What excludes a node from holding a task. Each filter answers check(load) and explains itself in Docker's words.

A filter is made for one group of equal tasks; `explain(count)` says why `count` nodes did not do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from common.model import PortConfig, Task, TaskSpec
from common.model.service import Placement, Reservation
from common.model.shared import Platform
from manager.scheduler.constraints import fits_platform, parse
from manager.scheduler.usage import NOTHING, Load, claim, port_keys, reservation


class Filter(Protocol):
    fixed: bool  # placing more of these tasks on a node does not change the verdict on it

    def check(self, load: Load) -> bool: ...

    def explain(self, count: int) -> str: ...


class Ready:
    """The node is ready and takes new tasks."""

    fixed = True

    def check(self, load: Load) -> bool:
        return load.node.status.state == "ready" and load.node.spec.availability == "active"

    def explain(self, count: int) -> str:
        return f"{_nodes(count)} not available for new tasks"


READY = Ready()  # the same for all tasks, so that nodes are asked once in a pass


class Resources:
    """What the task reserves is free on the node."""

    fixed = False

    def __init__(self, wanted: Reservation) -> None:
        self._wanted = wanted

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
    fixed = True

    def __init__(self, texts: Iterable[str]) -> None:
        self._constraints = [parse(text) for text in texts]

    def check(self, load: Load) -> bool:
        return all(constraint.allows(load.node) for constraint in self._constraints)

    def explain(self, count: int) -> str:
        return f"scheduling constraints not satisfied on {_nodes(count)}"


class Platforms:
    fixed = True

    def __init__(self, platforms: list[Platform]) -> None:
        self._platforms = platforms

    def check(self, load: Load) -> bool:
        return fits_platform(load.node, self._platforms)

    def explain(self, count: int) -> str:
        return f"unsupported platform on {_nodes(count)}"


class HostPorts:
    """The ports that the task publishes on its own node are free there."""

    fixed = False

    def __init__(self, ports: Iterable[PortConfig]) -> None:
        self._wanted = port_keys(ports)

    def check(self, load: Load) -> bool:
        return load.ports.isdisjoint(self._wanted)

    def explain(self, count: int) -> str:
        return f"host-mode port already in use on {_nodes(count)}"


class MaxReplicas:
    fixed = False

    def __init__(self, service_id: str, limit: int) -> None:
        self._service = service_id
        self._limit = limit

    def check(self, load: Load) -> bool:
        return load.services[self._service] < self._limit

    def explain(self, count: int) -> str:
        return "max replicas per node limit exceed"


def filters(task: Task, spec: TaskSpec) -> Iterator[Filter]:
    """All filters but Ready that tasks like this one need, in the order in which they are tried."""
    placement = spec.placement or Placement()
    if (wanted := reservation(spec)) != NOTHING:
        yield Resources(wanted)
    if placement.constraints:
        yield Constraints(placement.constraints)
    if placement.platforms:
        yield Platforms(placement.platforms)
    if task.endpoint_ports:
        yield HostPorts(task.endpoint_ports)
    if placement.max_replicas:
        yield MaxReplicas(task.service_id, placement.max_replicas)


class Verdicts:
    """Judges nodes, again and again while tasks are placed on them, and counts which filter turned each one away, for the
    sentence that the user reads. `away`: how many nodes are not Ready, so that they need not be judged at all."""

    def __init__(self, filters: Iterable[Filter], away: int) -> None:
        self._filters = [*filters]
        self._again = [filter for filter in self._filters if not filter.fixed]
        self._passed: set[str] = set()
        self._failures: Counter[Filter] = Counter({READY: away} if away else {})

    def fits(self, load: Load) -> bool:
        id = load.node.id
        for filter in self._again if id in self._passed else self._filters:
            if not filter.check(load):
                self._failures[filter] += 1
                return False
        self._passed.add(id)
        return True

    def explain(self) -> str:
        reasons = [filter.explain(count) for filter, count in self._failures.most_common()]
        return f"no suitable node ({'; '.join(reasons)})" if reasons else "no suitable node"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
