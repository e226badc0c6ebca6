"""What each node already carries: reserved resources, host-mode ports, tasks per service. Derived from a view.

Kept over reconciliations and forgotten node by node when one of a node's tasks changes; never a source of truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from common.model import Node, PortConfig, Task, TaskSpec, TaskState
from common.model.service import Reservation
from common.model.shared import GenericResource
from manager.specs import task_spec
from manager.store.base import View

NOTHING = Reservation()


class Load(msgspec.Struct):
    """One node's load. `place` adds a task to it while a batch is being placed."""

    node: Node
    nano_cpus: int = 0
    memory: int = 0
    tasks: int = 0
    services: Counter[str] = msgspec.field(default_factory=Counter)
    ports: set[tuple[str, int]] = msgspec.field(default_factory=set)
    discrete: Counter[str] = msgspec.field(default_factory=Counter)
    named: set[tuple[str, str]] = msgspec.field(default_factory=set)

    def place(self, task: Task, wanted: Reservation) -> None:
        self.nano_cpus += wanted.nano_cpus
        self.memory += wanted.memory_bytes
        self.tasks += 1
        self.services[task.service_id] += 1
        if task.endpoint_ports:
            self.ports.update(port_keys(task.endpoint_ports))
        for resource in task.assigned_generic_resources:
            if resource.named:
                self.named.add((resource.named.kind, resource.named.value))
            elif resource.discrete:
                self.discrete[resource.discrete.kind] += resource.discrete.value


class Usage:
    """The loads of all nodes.

    A task that was placed is counted before its commit: `expect` says so, and `changed` tells whether the event that
    comes back was expected. What has not come back when the next look begins was not committed.
    """

    def __init__(self) -> None:
        self._loads: dict[str, Load] = {}
        self._expected: dict[str, str] = {}

    def forget(self, node_id: str) -> None:
        self._loads.pop(node_id, None)

    def expect(self, task: Task) -> None:
        self._expected[task.id] = task.node_id

    def changed(self, task: Task) -> None:
        """A task began or ceased to take its node's resources."""
        if self._expected.pop(task.id, None) != task.node_id:
            self.forget(task.node_id)

    def begin(self) -> None:
        """Forget what was expected and did not happen."""
        for node_id in self._expected.values():
            self.forget(node_id)
        self._expected.clear()

    def load(self, view: View, node: Node) -> Load:
        found = self._loads.get(node.id)
        if found is None or found.node is not node:
            found = self._loads[node.id] = _load(view, node)
        return found


def _load(view: View, node: Node) -> Load:
    load = Load(node)
    for task in view.find(Task, "node", node.id):
        if holds(task):
            load.place(task, reservation(task_spec(view, task)))
    return load


def holds(task: Task) -> bool:
    """Whether the task takes its node's resources: until its container has ended."""
    return TaskState.ASSIGNED.order <= task.status.state.order < TaskState.COMPLETE.order


def reservation(spec: TaskSpec | None) -> Reservation:
    return (spec.resources.reservations if spec and spec.resources else None) or NOTHING


def port_keys(ports: Iterable[PortConfig]) -> list[tuple[str, int]]:
    return [(port.protocol, port.published_port) for port in ports if port.published_port]


def claim(load: Load, wanted: list[GenericResource]) -> list[GenericResource] | None:
    """Choose generic resources of the node for a task that wants so many of each kind; None where there are too few."""
    claimed: list[GenericResource] = []
    for want in wanted:
        kind, count = _kind(want), want.discrete.value if want.discrete else 1
        offers = [offer for offer in load.node.description.resources.generic_resources if _kind(offer) == kind]
        chosen = _named(load, offers, count) or _discrete(load, offers, kind, count)
        if chosen is None:
            return None
        claimed.extend(chosen)
    return claimed


def _kind(resource: GenericResource) -> str:
    return resource.named.kind if resource.named else resource.discrete.kind if resource.discrete else ""


def _named(load: Load, offers: list[GenericResource], count: int) -> list[GenericResource] | None:
    free = [offer for offer in offers if offer.named and (offer.named.kind, offer.named.value) not in load.named]
    return free[:count] if len(free) >= count else None


def _discrete(load: Load, offers: list[GenericResource], kind: str, count: int) -> list[GenericResource] | None:
    total = sum(offer.discrete.value for offer in offers if offer.discrete)
    if total - load.discrete[kind] < count:
        return None
    sample = next(offer for offer in offers if offer.discrete)
    assert sample.discrete is not None
    return [msgspec.structs.replace(sample, discrete=msgspec.structs.replace(sample.discrete, value=count))]
