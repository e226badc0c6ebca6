"""Random histories of a cluster: whatever happens, invariants hold, and once it is left alone it is as wanted."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from common.model import EndpointSpec, PortConfig, Service, ServiceMode, ServiceSpec, Task, TaskState, UpdateConfig
from common.model.service import SECOND, Global, Limit, Replicated, Reservation, ResourceRequirements, TaskRestartPolicy
from manager.api.services import removal
from tests.simulation.cluster import Simulation, template

replace = msgspec.structs.replace
ENDED_UPDATES = (None, "completed", "paused", "rollback_completed", "rollback_paused")


def replicated(count: int) -> ServiceMode:
    return ServiceMode(replicated=Replicated(replicas=count))


def random_spec(random: Random, name: str) -> ServiceSpec:
    update = UpdateConfig(
        parallelism=random.randint(0, 3),
        delay=random.choice((0, SECOND)),
        failure_action=random.choice(("pause", "continue", "rollback")),
        monitor=SECOND,
        max_failure_ratio=random.choice((0.0, 0.3, 1.0)),
        order=random.choice(("stop-first", "start-first")),
    )
    resources = ResourceRequirements(limits=Limit(), reservations=Reservation(nano_cpus=random.choice((0, 10**8))))
    port = PortConfig(target_port=80, publish_mode=random.choice(("ingress", "host")))
    return ServiceSpec(
        name=name,
        task_template=template(
            f"web:{random.randint(1, 3)}", resources=resources, restart_policy=TaskRestartPolicy(delay=SECOND)
        ),
        mode=ServiceMode(global_=Global()) if random.random() < 0.2 else replicated(random.randint(0, 8)),
        update_config=update,
        rollback_config=replace(update, failure_action="pause"),
        endpoint_spec=EndpointSpec(ports=[port]) if random.random() < 0.5 else None,
    )


def changed_spec(random: Random, spec: ServiceSpec) -> ServiceSpec:
    new = random_spec(random, spec.name)
    return replace(new, mode=spec.mode if spec.mode.global_ or new.mode.global_ else new.mode)


class History:
    """One random history."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = Simulation(seed)
        self.cluster.fails = lambda task: self.random.random() < 0.02
        self.cluster.interrupt = self.interrupt
        for number in range(3):
            self.cluster.add_node(f"node{number}")
        self.actions = [self.create, self.update, self.update, self.remove, self.node, self.fail, self.fail, self.wait]

    def step(self) -> None:
        self.random.choice(self.actions)()
        for task in self.random.sample(tasks := list(self.cluster.view.all(Task)), min(len(tasks), 10)):
            self.cluster.step(task)
            if self.random.random() < 0.3:
                self.cluster.settle()
        self.cluster.settle()

    def interrupt(self) -> None:
        """Somebody else commits first: a worker often, a user seldom."""
        view, chance = self.cluster.view, self.random.random()
        if chance < 0.1 and (tasks := list(view.all(Task))):
            self.cluster.step(self.random.choice(tasks))
        elif chance < 0.13 and (services := list(view.all(Service))):
            service = self.random.choice(services)
            self.cluster.respecify(service.id, changed_spec(self.random, service.spec))
        elif chance < 0.14 and (services := list(view.all(Service))):
            self.cluster.commit(*removal(view, self.random.choice(services)))

    def create(self) -> None:
        if self.cluster.view.count(Service) < 5:
            id = f"service{self.cluster.new_id()}"
            self.cluster.create(id, random_spec(self.random, id))

    def update(self) -> None:
        for service in self.random.sample(services := list(self.cluster.view.all(Service)), min(1, len(services))):
            self.cluster.update(service.id, changed_spec(self.random, service.spec))

    def remove(self) -> None:
        if self.random.random() < 0.3:
            for service in list(self.cluster.view.all(Service))[:1]:
                self.cluster.remove(service.id)

    def node(self) -> None:
        state = self.random.choice(("ready", "ready", "down", "disconnected"))
        availability = self.random.choice(("active", "active", "drain", "pause"))
        self.cluster.set_node(f"node{self.random.randint(0, 2)}", state=state, availability=availability)

    def fail(self) -> None:
        running = [task for task in self.cluster.view.all(Task) if task.status.state == TaskState.RUNNING]
        for task in self.random.sample(running, min(1, len(running))):
            self.cluster.report(task, self.random.choice((TaskState.FAILED, TaskState.COMPLETE)))

    def wait(self) -> None:
        self.cluster.advance(self.random.choice((0.1, 1, 10)))

    def calm(self) -> None:
        """All nodes work and nothing fails any more."""
        self.cluster.fails = lambda task: False
        self.cluster.interrupt = lambda: None
        for number in range(3):
            self.cluster.set_node(f"node{number}", state="ready", availability="active")
        self.cluster.advance(300)


@pytest.mark.parametrize("seed", range(8))
def test_a_random_history_ends_as_wanted(seed: int) -> None:
    history = History(seed)
    for _ in range(100):
        history.step()
    history.calm()
    view = history.cluster.view
    for service in view.all(Service):
        wanted = service.spec.mode.replicated.replicas if service.spec.mode.replicated else 3
        running = history.cluster.running(service.id)
        assert len(running) == wanted, service.spec.name
        state = service.update_status.state if service.update_status else None
        assert state in ENDED_UPDATES
        if state in (None, "completed", "rollback_completed"):
            assert {task.spec_version for task in running} <= {service.spec_version}
    orphans = [task for task in view.all(Task) if view.get(Service, task.service_id) is None]
    assert orphans == []
