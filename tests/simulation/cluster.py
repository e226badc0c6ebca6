"""A simulated cluster: the real loops on a store in memory, virtual time, and workers that accept, run and fail tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from common.errors import VersionConflict
from common.model import (
    Cluster,
    ContainerSpec,
    Network,
    NetworkSpec,
    Node,
    NodeDescription,
    NodeSpec,
    NodeStatus,
    Service,
    ServiceSpec,
    Task,
    TaskSpec,
    TaskState,
    TaskStatus,
    Version,
)
from common.model.node import NodeResources
from common.model.shared import Platform
from manager.agenda import Agenda
from manager.api.services import removal
from manager.loops.all import all_loops
from manager.loops.invariants import validate, validate_change
from manager.specs import respecified
from manager.store.base import Change, Put
from manager.store.codec import decode_transaction, encode_transaction
from manager.store.foreign import Foreign
from manager.store.store import StateMachine
from manager.store.transaction import Transaction, execute
from manager.store.view import LiveView

replace = msgspec.structs.replace
STEPS = (TaskState.ACCEPTED, TaskState.PREPARING, TaskState.READY, TaskState.STARTING, TaskState.RUNNING)


class Simulation:
    """`commit` is what users and workers do; `settle` lets the loops work until nothing is left to do now."""

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(seed)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._machine = StateMachine()
        self._number = 0
        self.agenda = Agenda(all_loops(self.new_id))
        self.fails: Callable[[Task], bool] = lambda task: False
        self.interrupt: Callable[[], None] = lambda: None  # what others commit while the loops think
        self.commit(
            Put(Cluster(id="cluster")),
            Put(Network(id="ingress", spec=NetworkSpec(name="ingress", driver="overlay", ingress=True))),
        )
        self.agenda.start(self.view)

    def new_id(self) -> str:
        self._number += 1
        return f"{self._number:06d}"

    @property
    def view(self) -> LiveView:
        return LiveView(self._machine.tables, self.now)

    def commit(self, *changes: Change) -> None:
        self.now += timedelta(microseconds=1)
        transaction = decode_transaction(encode_transaction(changes, self.now, Foreign()))
        assert isinstance(transaction, Transaction)
        event = execute(self._machine.tables, self.view.revision + 1, transaction)
        wrong = [text for change in event.changes for text in validate_change(change)] + validate(self.view)
        assert not wrong, wrong
        self.agenda.observe(event)

    def settle(self) -> None:
        for _ in range(10_000):
            batch = self.agenda.next(self.view)
            if batch is None:
                return
            self.interrupt()
            try:
                self.commit(*batch.changes)
            except VersionConflict:
                self.agenda.retry(batch)
        raise AssertionError("the loops do not come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass; loops act at their moments, workers in between."""
        end = self.now + timedelta(seconds=seconds)
        self.settle()
        self.work()
        while self.now < end:
            wake = self.agenda.wake_at
            self.now = min(end, max(wake or end, self.now + timedelta(milliseconds=1)))
            self.settle()
            self.work()

    def work(self, rounds: int = 1000) -> None:
        """Workers do all they can."""
        for _ in range(rounds):
            moved = [self.step(task) for task in list(self.view.all(Task))]
            self.settle()
            if not any(moved):
                return

    def step(self, task: Task) -> bool:
        """One task's worker does one thing. Returns whether there was something to do."""
        present = self.view.get(Task, task.id)
        node = self.view.get(Node, task.node_id)
        if present is None or node is None or node.status.state != "ready":
            return False
        state = self._next(present)
        if state is not None:
            self.report(present, state)
        return state is not None

    def _next(self, task: Task) -> TaskState | None:
        state = task.status.state
        if state.order < TaskState.ASSIGNED.order or state.terminal:
            return None
        if task.desired_state.order > TaskState.COMPLETE.order:
            return TaskState.SHUTDOWN
        if state == TaskState.RUNNING:
            job = task.desired_state == TaskState.COMPLETE
            return TaskState.FAILED if self.fails(task) else TaskState.COMPLETE if job else None
        after = next(step for step in STEPS if step.order > state.order)
        allowed = TaskState.READY if task.desired_state == TaskState.READY else TaskState.RUNNING
        return after if after.order <= allowed.order else None

    def report(self, task: Task, state: TaskState) -> None:
        self.commit(Put(replace(task, status=TaskStatus(state=state, timestamp=self.now))))

    def add_node(self, id: str, cpus: int = 4, labels: dict[str, str] | None = None) -> None:
        resources = NodeResources(nano_cpus=cpus * 10**9, memory_bytes=8 << 30)
        description = NodeDescription(
            hostname=id, platform=Platform(architecture="x86_64", os="linux"), resources=resources
        )
        node = Node(
            id=id, spec=NodeSpec(labels=labels or {}), description=description, status=NodeStatus(state="ready")
        )
        self.commit(Put(node))

    def set_node(self, id: str, *, state: str | None = None, availability: str | None = None) -> None:
        node = self.view.get(Node, id)
        assert node is not None
        status = replace(node.status, state=state or node.status.state)
        spec = replace(node.spec, availability=availability or node.spec.availability)
        self.commit(Put(replace(node, status=status, spec=spec)))

    def create(self, id: str, spec: ServiceSpec) -> None:
        self.commit(Put(Service(id=id, spec=spec, spec_version=Version(index=1))))
        self.settle()

    def update(self, id: str, spec: ServiceSpec) -> None:
        self.respecify(id, spec)
        self.settle()

    def respecify(self, id: str, spec: ServiceSpec) -> None:
        service = self.service(id)
        self.commit(Put(replace(respecified(service, spec), previous_spec=service.spec, update_status=None)))

    def remove(self, id: str) -> None:
        self.commit(*removal(self.view, self.service(id)))
        self.settle()

    def service(self, id: str) -> Service:
        service = self.view.get(Service, id)
        assert service is not None
        return service

    def tasks(self, service: str) -> Sequence[Task]:
        return sorted(self.view.find(Task, "service", service), key=lambda task: (task.slot, task.created_at))

    def running(self, service: str) -> list[Task]:
        return [
            task
            for task in self.tasks(service)
            if task.status.state == TaskState.RUNNING and task.desired_state == TaskState.RUNNING
        ]


def template(image: str = "web:1", **options: object) -> TaskSpec:
    return replace(TaskSpec(container_spec=ContainerSpec(image=image)), **options)
