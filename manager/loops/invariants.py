"""What must hold at every revision, whatever the loops, the workers and the users do. Used by tests and by nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from common.model import Node, Service, Task, TaskState
from manager.allocator.addresses import to_int
from manager.allocator.services import published
from manager.loops.slots import by_slot, live
from manager.scheduler.usage import holds, port_keys, reservation
from manager.specs import task_spec
from manager.store.base import Changed, View


def validate(view: View) -> list[str]:
    """All that is wrong in `view`, as sentences."""
    return [*_slots(view), *_addresses(view), *_ports(view), *_nodes(view), *_tasks(view)]


def validate_change(change: Changed) -> list[str]:
    """What is wrong with one object's step: a task never moves backwards nor to another node."""
    before, after = change.before, change.after
    if not isinstance(before, Task) or not isinstance(after, Task):
        return []
    wrong = []
    if after.status.state.order < before.status.state.order:
        wrong.append(f"task {after.id} went back from {before.status.state} to {after.status.state}")
    if after.desired_state.order < before.desired_state.order:
        wrong.append(f"task {after.id} is wanted {after.desired_state} after {before.desired_state}")
    if before.node_id and after.node_id != before.node_id:
        wrong.append(f"task {after.id} moved from {before.node_id} to {after.node_id}")
    return wrong


def _slots(view: View) -> Iterator[str]:
    """One live task in a slot, and during a start-first update one more of another version."""
    for service in view.all(Service):
        for slot, tasks in by_slot(view.find(Task, "service", service.id)).items():
            alive = [task for task in tasks if live(task)]
            versions = {task.spec_version for task in alive}
            if len(alive) > 2 or len(versions) < len(alive):
                yield f"slot {slot} has {len(alive)} live tasks: {[task.id for task in alive]}"


def _addresses(view: View) -> Iterator[str]:
    taken: Counter[tuple[str, int]] = Counter()
    for service in view.all(Service):
        taken.update((vip.network_id, to_int(vip.addr)) for vip in service.endpoint.virtual_ips)
    for task in view.all(Task):
        if not task.status.state.terminal:
            taken.update((a.network_id, to_int(text)) for a in task.networks_attachments for text in a.addresses)
    yield from (f"address {address} is taken {count} times" for address, count in taken.items() if count > 1)


def _ports(view: View) -> Iterator[str]:
    ports = [port for _, port in published(view, but="") if port.publish_mode == "ingress"]
    yield from _repeated("ingress port", port_keys(ports))


def _nodes(view: View) -> Iterator[str]:
    for node in view.all(Node):
        tasks = [task for task in view.find(Task, "node", node.id) if holds(task)]
        cpus = sum(reservation(task_spec(view, task)).nano_cpus for task in tasks)
        if cpus > node.description.resources.nano_cpus:
            yield f"node {node.id} has {node.description.resources.nano_cpus} CPUs, {cpus} are reserved"
        yield from _repeated(f"host port on {node.id}", [key for t in tasks for key in port_keys(t.endpoint_ports)])


def _tasks(view: View) -> Iterator[str]:
    for task in view.all(Task):
        if task.status.state.order >= TaskState.ASSIGNED.order and not task.node_id:
            yield f"task {task.id} is {task.status.state} on no node"


def _repeated(what: str, keys: Iterable[tuple[str, int]]) -> Iterator[str]:
    yield from (f"{what} {key} is taken {count} times" for key, count in Counter(keys).items() if count > 1)
