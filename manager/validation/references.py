"""What a service's spec refers to: networks by name or id, secrets, configs, published ports of others."""

from __future__ import annotations

from msgspec.structs import replace

from common.errors import InvalidArgument, NotFound
from common.model import Config, ContainerSpec, Network, Secret, ServiceMode, ServiceSpec
from common.model.service import NetworkAttachmentConfig
from manager.allocator.services import published
from manager.api.lookup import search
from manager.store.base import View


def normalized(view: View, spec: ServiceSpec) -> ServiceSpec:
    """`spec` with its networks in one place, by id, and with what clients expect to be named. Raises InvalidArgument,
    NotFound."""
    given = spec.task_template.networks or spec.networks
    networks = [_attachment(view, attachment) for attachment in given]
    targets = [attachment.target for attachment in networks]
    if len(set(targets)) < len(targets):
        raise InvalidArgument("invalid networks: a network is named twice")
    template = replace(spec.task_template, networks=networks, runtime="container")
    return replace(spec, networks=[], task_template=template, mode=_counted(spec.mode))


def _counted(mode: ServiceMode) -> ServiceMode:
    """A job with its numbers: one task at once, and as many completions as tasks at once."""
    job = mode.replicated_job
    if job is None:
        return mode
    concurrent = 1 if job.max_concurrent is None else job.max_concurrent
    total = concurrent if job.total_completions is None else job.total_completions
    return replace(mode, replicated_job=replace(job, max_concurrent=concurrent, total_completions=total))


def check_references(view: View, spec: ServiceSpec, service_id: str = "") -> None:
    """What `spec` names exists, and the ports it publishes are free. `service_id`: the service that is being updated."""
    container = spec.task_template.container_spec or ContainerSpec()
    for reference in container.secrets:
        secret = view.get(Secret, reference.secret_id)
        if secret is None or secret.spec.name != reference.secret_name:
            raise InvalidArgument(f"secret not found: {reference.secret_name}", ("secret", reference.secret_name))
    for config_reference in container.configs:
        config = view.get(Config, config_reference.config_id)
        if config is None or config.spec.name != config_reference.config_name:
            name = config_reference.config_name
            raise InvalidArgument(f"config not found: {name}", ("config", name))
    _check_ports(view, spec, service_id)


def _attachment(view: View, attachment: NetworkAttachmentConfig) -> NetworkAttachmentConfig:
    network = search(view, Network, attachment.target)
    if network is None:
        raise NotFound(f"network {attachment.target} not found", ("network", attachment.target))
    if network.spec.ingress:
        raise InvalidArgument('Service cannot be explicitly attached to the ingress network "ingress"')
    return replace(attachment, target=network.id)


def _check_ports(view: View, spec: ServiceSpec, service_id: str) -> None:
    wanted = {
        (port.protocol, port.published_port): port.publish_mode
        for port in (spec.endpoint_spec.ports if spec.endpoint_spec else ())
        if port.published_port
    }
    if not wanted:
        return
    for service, port in published(view, service_id):
        mode = wanted.get((port.protocol, port.published_port))
        if mode is None or (mode == "host" and port.publish_mode == "host"):
            continue
        how = "an ingress port" if port.publish_mode == "ingress" else "a host-published port"
        raise InvalidArgument(
            f"port '{port.published_port}' is already in use by service '{service.spec.name}' ({service.id}) as {how}",
            ("service", service.id),
        )
