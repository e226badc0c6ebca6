"""Allocation: subnets for networks, endpoints for services, and tasks NEW → PENDING once they have their addresses.

What cannot be had is said in the task's status and tried again when something is freed. How things are chosen is in
manager/allocator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec.structs import replace

from common.errors import Conflict
from common.model import Cluster, Network, NetworkAttachment, Node, Service, Task, TaskState
from manager.allocator import networks as subnets
from manager.allocator.nodes import ingress_addresses
from manager.allocator.services import Networks, complete, endpoint, networks_of
from manager.loops.base import Wake
from manager.specs import template
from manager.store.base import Change, Changed, Put, View

PENDING = "pending task scheduling"
BATCH = 2000  # tasks in one commit


class Allocator:
    """Keys are "service:<id>", "services", "networks", "nodes" and "tasks" (all that are NEW)."""

    name = "allocator"
    serial = True

    def keys(self, change: Changed) -> Iterable[str]:
        subject, after = change.object, change.after
        match subject:
            case Task():
                return _task_keys(change)
            case Service():
                return (f"service:{subject.id}", *_node_keys(change), "tasks") if after else ("services", "tasks")
            case Network():
                return ("networks", "services", "nodes", "tasks")
            case Cluster():
                return ("networks",)
            case Node():
                return (*(("nodes",) if change.before is None else ()), *_freed(change))
        return ()

    def start(self, view: View) -> Iterable[str]:
        return ("networks", "services", "nodes", "tasks")

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        kind, _, id = key.partition(":")
        match kind:
            case "networks":
                waiting = (network for network in view.all(Network) if not subnets.allocated(network))
                done = filter(None, (subnets.complete(view, network) for network in waiting))
                return [Put(network) for network in islice(done, 1)]
            case "service":
                return [*_services(view, [service] if (service := view.get(Service, id)) else [])]
            case "services":
                return [*_services(view, view.all(Service))]
            case "nodes":
                return [*islice(ingress_addresses(view), BATCH)]
        return [*_tasks(view)]


def _task_keys(change: Changed) -> Iterable[str]:
    before, after = change.before, change.after
    if isinstance(after, Task) and after.status.state == TaskState.NEW and before is None:
        return ("tasks",)
    freed = not isinstance(after, Task) or after.status.state.terminal
    held = isinstance(before, Task) and bool(before.networks_attachments) and not before.status.state.terminal
    return ("services", "tasks") if freed and held else ()


def _node_keys(change: Changed) -> Iterable[str]:
    """Nodes get addresses on the ingress network with the first service that is on it."""
    before, after = (
        bool(service.endpoint.ports) if isinstance(service, Service) else False
        for service in (change.before, change.after)
    )
    return ("nodes",) if after and not before else ()


def _freed(change: Changed) -> Iterable[str]:
    before, after = (
        len(node.guests) + len(node.attachments) if isinstance(node, Node) else 0
        for node in (change.before, change.after)
    )
    return ("services", "tasks", "nodes") if after < before else ()


def _services(view: View, services: Iterable[Service]) -> Iterator[Change]:
    networks = Networks(view)
    for service in services:
        if not complete(view, service):
            try:
                yield Put(replace(service, endpoint=endpoint(view, service, networks)))
            except Conflict:
                continue  # its tasks say why


def _tasks(view: View) -> Iterator[Change | Wake]:
    networks = Networks(view)
    waiting = sorted(view.find(Task, "state", TaskState.NEW), key=lambda task: task.created_at)
    if len(waiting) > BATCH:
        yield Wake("tasks", view.now)
    for task in waiting[:BATCH]:
        if task.desired_state.order <= TaskState.COMPLETE.order:
            done = _task(view, networks, task)
            if done != task:
                yield Put(done)


def _task(view: View, networks: Networks, task: Task) -> Task:
    service = view.get(Service, task.service_id)
    if service is None:
        return task
    try:
        if not complete(view, service):
            endpoint(view, service, Networks(view))
            return task
        attachments = tuple(_attachments(view, networks, service, task))
    except Conflict as error:
        return replace(task, status=replace(task.status, message="waiting for allocation", err=error.message))
    status = replace(task.status, timestamp=view.now, state=TaskState.PENDING, message=PENDING, err="")
    ports = tuple(port for port in service.endpoint.ports if port.publish_mode == "host")
    return replace(task, status=status, networks_attachments=attachments, endpoint_ports=ports)


def _attachments(view: View, networks: Networks, service: Service, task: Task) -> Iterator[NetworkAttachment]:
    spec = template(service, task.spec_version.index)
    asked = {attachment.target: attachment for attachment in spec.networks}
    overlays = {network.id for network in networks_of(view, service)}
    for id in dict.fromkeys((*overlays - {*asked}, *asked)):
        config = asked.get(id)
        addresses = networks.take(id) if id in overlays else []
        yield NetworkAttachment(
            network_id=id,
            addresses=addresses,
            aliases=config.aliases if config else [],
            driver_opts=config.driver_opts if config else {},
        )
