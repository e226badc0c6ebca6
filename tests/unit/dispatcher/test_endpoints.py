"""What others see of a service on a network."""

from __future__ import annotations

import msgspec
import pytest

from common.model import EPOCH, Network, Service, Task, TaskState, TaskStatus
from common.wire import Backend
from manager.dispatcher.endpoints import backend, endpoint, touched
from manager.store.tables import Tables
from manager.store.view import LiveView
from tests.unit.dispatcher.objects import CLUSTER, FRONT, PORT, WEB, task

replace = msgspec.structs.replace


def view(*objects: Task | Service | Network) -> LiveView:
    tables = Tables()
    for object in (*(put.object for put in CLUSTER), *objects):
        tables.set(tables[type(object)].objects.get(object.id), object)
    return LiveView(tables, EPOCH)


def test_an_endpoint_has_the_names_the_vip_and_the_tasks() -> None:
    found = endpoint(view(task(1), task(2, "n2", TaskState.RUNNING)), "web/front")
    assert found is not None
    assert (found.service_name, found.vip, found.aliases, found.ports) == ("web", "10.0.1.2", ["www"], [])
    assert found.backends == [
        Backend(task_id="t1", slot=1, node_id="n1", container_name="web.1.t1", address="10.0.1.11", ready=False),
        Backend(task_id="t2", slot=2, node_id="n2", container_name="web.2.t2", address="10.0.1.12"),
    ]  # fmt: skip


def test_on_ingress_it_has_the_ports_that_are_published_there() -> None:
    found = endpoint(view(task()), "web/ing")
    assert found is not None
    assert (found.vip, found.ports, found.backends[0].address) == ("10.0.0.2", [PORT], "10.0.0.11")


def test_a_service_that_publishes_nothing_is_not_on_ingress() -> None:
    quiet = replace(WEB, endpoint=replace(WEB.endpoint, ports=[]))
    assert endpoint(view(quiet), "web/ing") is None


@pytest.mark.parametrize("id", ["gone/front", "web/gone", "web/host"])
def test_there_is_no_endpoint_of_what_does_not_meet(id: str) -> None:
    assert endpoint(view(), id) is None


@pytest.mark.parametrize(
    ("fields", "ready"),
    [
        ({"status": TaskStatus(state=TaskState.RUNNING)}, True),
        ({"status": TaskStatus(state=TaskState.RUNNING, healthy=False)}, False),
        ({"status": TaskStatus(state=TaskState.STARTING)}, False),
        ({"status": TaskStatus(state=TaskState.RUNNING), "desired_state": TaskState.SHUTDOWN}, False),
    ],
)
def test_new_connections_go_to_healthy_tasks_that_shall_run(fields: dict[str, object], ready: bool) -> None:
    found = backend(task(**fields), "front")  # type: ignore[arg-type]
    assert found is not None
    assert found.ready is ready


@pytest.mark.parametrize("state", [TaskState.NEW, TaskState.PENDING, TaskState.COMPLETE, TaskState.FAILED])
def test_only_tasks_between_assignment_and_end_are_seen(state: TaskState) -> None:
    assert backend(task(state=state), "front") is None


def test_a_task_without_an_address_is_not_seen() -> None:
    assert backend(task(networks_attachments=()), "front") is None


def test_a_change_touches_only_endpoints_that_look_different() -> None:
    preparing, starting, running = (
        task(state=state) for state in (TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING)
    )
    assert list(touched(preparing, starting)) == []
    assert list(touched(starting, running)) == ["web/front", "web/ing"]
    assert list(touched(running, None)) == ["web/front", "web/ing"]
    assert list(touched(None, task(state=TaskState.NEW))) == []
    assert FRONT.id in next(iter(touched(None, running)))
