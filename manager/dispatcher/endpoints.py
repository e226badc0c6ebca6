"""What a service looks like on one network: its VIP, names, published ports and the tasks behind it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from common.model import Network, NetworkAttachment, PortConfig, Service, Task, TaskState
from common.wire import Backend, ServiceEndpoint
from manager.store.base import View
from manager.store.indices import networks_of_service


def key(service_id: str, network_id: str) -> str:
    """ServiceEndpoint.id."""
    return f"{service_id}/{network_id}"


def keys(task: Task) -> Iterable[str]:
    """The endpoints that the task is, or will be, behind."""
    return (key(task.service_id, attachment.network_id) for attachment in task.networks_attachments)


def endpoint(view: View, id: str) -> ServiceEndpoint | None:
    """The endpoint by its id; None where the service is gone, is not on the network, or publishes nothing on ingress."""
    service_id, _, network_id = id.partition("/")
    service, network = view.get(Service, service_id), view.get(Network, network_id)
    if service is None or network is None or network_id not in networks_of_service(service):
        return None
    ports = _published(service) if network.spec.ingress else []
    if network.spec.ingress and not ports:
        return None
    return ServiceEndpoint(
        service_id=service.id,
        service_name=service.spec.name,
        network_id=network_id,
        vip=_vip(service, network_id),
        aliases=_aliases(service, network_id),
        ports=ports,
        backends=list(_backends(view, service, network_id)),
    )


def backend(task: Task | None, network_id: str) -> Backend | None:
    """The task as others on the network see it, from its assignment until its end."""
    if task is None or not TaskState.ASSIGNED.order <= task.status.state.order <= TaskState.RUNNING.order:
        return None
    attachment = _attachment(task, network_id)
    if attachment is None or not attachment.addresses:
        return None
    return Backend(
        task_id=task.id,
        slot=task.slot,
        node_id=task.node_id,
        container_name=task.name,
        address=_bare(attachment.addresses[0]),
        ready=_ready(task),
    )


def touched(before: Task | None, after: Task | None) -> Iterable[str]:
    """The endpoints that look different since `before` became `after`."""
    task = after or before
    attachments = [a for t in (before, after) if t is not None for a in t.networks_attachments]
    for network_id in dict.fromkeys(a.network_id for a in attachments):
        if task is not None and backend(before, network_id) != backend(after, network_id):
            yield key(task.service_id, network_id)


def _backends(view: View, service: Service, network_id: str) -> Iterable[Backend]:
    return filter(None, (backend(task, network_id) for task in view.find(Task, "service", service.id)))


def _ready(task: Task) -> bool:
    running = task.status.state is TaskState.RUNNING and task.status.healthy
    return running and task.desired_state is TaskState.RUNNING


def _attachment(task: Task, network_id: str) -> NetworkAttachment | None:
    return next((a for a in task.networks_attachments if a.network_id == network_id), None)


def _published(service: Service) -> list[PortConfig]:
    return [port for port in service.endpoint.ports if port.publish_mode == "ingress"]


def _vip(service: Service, network_id: str) -> str:
    return next((_bare(vip.addr) for vip in service.endpoint.virtual_ips if vip.network_id == network_id), "")


def _aliases(service: Service, network_id: str) -> list[str]:
    wanted = (*service.spec.task_template.networks, *service.spec.networks)
    return list(dict.fromkeys(alias for n in wanted if n.target == network_id for alias in n.aliases))


def _bare(address: str) -> str:
    return address.partition("/")[0]
