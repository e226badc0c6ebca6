"""Which spec a task runs. A task names a version of its service's task template; here the two meet again.

Owns `Service.spec_version` and `Service.past_templates`. Filling in what else a task needs is the API's and the
dispatcher's work.
"""

from __future__ import annotations

from msgspec.structs import replace

from common.model import Network, PortConfig, Service, ServiceSpec, Task, TaskSpec, Version
from manager.store.base import View


def task_spec(view: View, task: Task) -> TaskSpec | None:
    """The spec that `task` runs; None where its service is gone and took the spec with it."""
    if task.spec is not None:
        return task.spec
    service = view.get(Service, task.service_id)
    return None if service is None else template(service, task.spec_version.index)


def template(service: Service, version: int) -> TaskSpec:
    """The task template of that version; the present one where the version is not known any more."""
    if version == service.spec_version.index:
        return service.spec.task_template
    return service.past_templates.get(version, service.spec.task_template)


def resolve(view: View, task: Task) -> Task:
    """`task` as it leaves the store: with its spec and with its networks."""
    attachments = tuple(
        replace(attachment, network=view.get(Network, attachment.network_id))
        for attachment in task.networks_attachments
    )
    return replace(task, spec=task_spec(view, task), networks_attachments=attachments)


def host_ports(spec: ServiceSpec) -> list[PortConfig]:
    """Ports published on the task's own node: the one part of the endpoint that a running task cannot change."""
    return [port for port in spec.endpoint_spec.ports if port.publish_mode == "host"] if spec.endpoint_spec else []


def pruned(service: Service, used: set[int]) -> Service:
    """`service` without the past templates that no task runs."""
    return replace(service, past_templates={n: spec for n, spec in service.past_templates.items() if n in used})


def respecified(service: Service, spec: ServiceSpec) -> Service:
    """`service` with `spec`, under a new version only if new tasks are needed, under the old one if a template returns."""
    service = replace(service, respecified_at=service.version.index)
    if spec.task_template == service.spec.task_template and host_ports(spec) == host_ports(service.spec):
        return replace(service, spec=spec)
    past = {**service.past_templates, service.spec_version.index: service.spec.task_template}
    version = max(past) + 1
    if host_ports(spec) == host_ports(service.spec):
        version = max((number for number, old in past.items() if old == spec.task_template), default=version)
    past.pop(version, None)
    return replace(service, spec=spec, spec_version=Version(index=version), past_templates=past)
