"""Global services: one task on every node that may hold one. Replacing what fails is the restart loop's work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from common.ids import object_id
from common.model import Node, Service, Task
from manager.loops.base import Wake
from manager.loops.slots import Ids, accepts_tasks, by_slot, finished, live, mode, new_task, remove, stopped, turned
from manager.scheduler.constraints import node_allows
from manager.store.base import Change, Changed, Put, View


class Global:
    """Keys are "service:<id>", "node:<id>" and "slot:<service id>.<node id>"."""

    name = "global"
    serial = True

    def __init__(self, ids: Ids = object_id) -> None:
        self._ids = ids

    def keys(self, change: Changed) -> Iterable[str]:
        subject = change.object
        if isinstance(subject, Service):
            return (f"service:{subject.id}",)
        if isinstance(subject, Node):
            return (f"node:{subject.id}",)
        if isinstance(subject, Task) and subject.service_id and not subject.slot and turned(change):
            return (f"slot:{subject.service_id}.{subject.node_id}",)
        return ()

    def start(self, view: View) -> Iterable[str]:
        return [f"service:{service.id}" for service in view.all(Service)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        kind, _, id = key.partition(":")
        if kind == "slot":
            service_id, _, node_id = id.partition(".")
            service = view.get(Service, service_id)
            return [*self._node(view, service, node_id)] if service and mode(service) == "global" else []
        if kind == "service":
            service = view.get(Service, id)
            return [*self._service(view, service)] if service and mode(service) == "global" else []
        services = [service for service in view.all(Service) if mode(service) == "global"]
        return [change for service in services for change in self._node(view, service, id)]

    def _service(self, view: View, service: Service) -> Iterator[Change]:
        slots = by_slot(view.find(Task, "service", service.id))
        nodes = {tasks[0].node_id for tasks in slots.values()} | {node.id for node in view.all(Node)}
        for node_id in sorted(nodes):
            yield from self._place(view, service, node_id, slots.get(f"{service.id}.{node_id}", []))

    def _node(self, view: View, service: Service, node_id: str) -> Iterator[Change]:
        tasks = sorted(view.find(Task, "slot", f"{service.id}.{node_id}"), key=lambda task: task.created_at)
        yield from self._place(view, service, node_id, tasks)

    def _place(self, view: View, service: Service, node_id: str, tasks: list[Task]) -> Iterator[Change]:
        node = view.get(Node, node_id)
        alive = [task for task in tasks if live(task)]
        if node is None or not node_allows(node, service.spec.task_template):
            yield from map(remove, alive)
        elif not alive and accepts_tasks(node) and not (tasks and finished(service, tasks)):
            waits = not all(stopped(view, task) for task in tasks)
            yield Put(new_task(service, self._ids(), node_id=node_id, ready=waits))
