"""A task's ContainerSpec in the engine's words: ContainerConfig, HostConfig and NetworkingConfig, as Docker maps them.

Pure. Secrets and configs are files that files.py writes and the engine mounts beside these.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from common.errors import InvalidArgument, Unsupported
from common.model import SECOND, ContainerSpec, NetworkAttachment, Task, TaskSpec
from common.model.container import (
    ContainerConfig,
    EndpointIPAMConfig,
    EndpointSettings,
    HostConfig,
    LogConfig,
    NetworkingConfig,
    PortBinding,
)
from common.model.service import Privileges, ResourceRequirements
from common.model.shared import GenericResource, Mount
from worker.engine.container import TASK_LABEL
from worker.session.templates import Context, service_name, task_name


def container_config(task: Task, context: Context) -> ContainerConfig:
    """Raises InvalidArgument for templates and durations that make no sense."""
    spec = container_spec(task)
    return ContainerConfig(
        image=spec.image,
        hostname=context.expand(spec.hostname),
        user=spec.user,
        env=[*map(context.expand, spec.env), *generic_resources(task.assigned_generic_resources)],
        entrypoint=spec.command or None,
        cmd=spec.args or None,
        working_dir=spec.dir,
        tty=spec.tty,
        open_stdin=spec.open_stdin,
        labels={**spec.labels, **task_labels(task)},
        healthcheck=spec.healthcheck,
        stop_signal=spec.stop_signal,
        stop_timeout=None if spec.stop_grace_period is None else -(-spec.stop_grace_period // SECOND),
        exposed_ports={f"{port.target_port}/{port.protocol}": {} for port in task.endpoint_ports},
    )


def container_spec(task: Task) -> ContainerSpec:
    spec = task.spec.container_spec if task.spec else None
    if spec is None:
        raise Unsupported(f"task {task.id} has no container: only services of containers are supported")
    return spec


def task_labels(task: Task) -> dict[str, str]:
    """The labels by which Docker's clients, and a new daemon, find a task's container."""
    return {
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": service_name(task),
        "com.docker.swarm.task": "",
        TASK_LABEL: task.id,
        "com.docker.swarm.task.name": task_name(task),
    }


def generic_resources(assigned: Sequence[GenericResource]) -> list[str]:
    """`DOCKER_RESOURCE_GPU=a,b` for each kind of resource that the scheduler gave to the task."""
    by_kind: dict[str, list[str]] = {}
    for resource in assigned:
        if resource.named is not None:
            by_kind.setdefault(resource.named.kind, []).append(resource.named.value)
        if resource.discrete is not None:
            by_kind.setdefault(resource.discrete.kind, []).append(str(resource.discrete.value))
    return [f"DOCKER_RESOURCE_{kind.upper()}={','.join(values)}" for kind, values in by_kind.items()]


def host_config(task: Task, context: Context) -> HostConfig:
    """Raises Unsupported, InvalidArgument for what this node cannot do."""
    spec = container_spec(task)
    if spec.isolation not in ("", "default"):
        raise Unsupported(f"isolation {spec.isolation!r} is for Windows only")
    config = HostConfig(
        mounts=[mount_of(mount, context) for mount in spec.mounts],
        network_mode=network_mode(task),
        port_bindings={
            f"{port.target_port}/{port.protocol}": [PortBinding(host_port=str(port.published_port or ""))]
            for port in task.endpoint_ports
        },
        log_config=log_config(task.spec),
        group_add=spec.groups or None,
        readonly_rootfs=spec.read_only,
        init=spec.init,
        sysctls=spec.sysctls,
        cap_add=spec.capability_add or None,
        cap_drop=spec.capability_drop or None,
        ulimits=spec.ulimits,
        oom_score_adj=spec.oom_score_adj,
        extra_hosts=extra_hosts(spec.hosts) or None,
        security_opt=security_options(spec.privileges) or None,
    )
    return _with_dns(_with_resources(config, task.spec.resources if task.spec else None), spec)


def mount_of(mount: Mount, context: Context) -> Mount:
    """Source, target and a volume's labels and driver options may hold templates."""
    volume = mount.volume_options
    if volume is not None:
        driver = volume.driver_config
        if driver is not None:
            options = {key: context.expand(value) for key, value in driver.options.items()}
            driver = msgspec.structs.replace(driver, options=options)
        labels = {key: context.expand(value) for key, value in volume.labels.items()}
        volume = msgspec.structs.replace(volume, labels=labels, driver_config=driver)
    return msgspec.structs.replace(
        mount,
        source=context.expand(mount.source),
        target=context.expand(mount.target),
        volume_options=volume,
    )


def log_config(spec: TaskSpec | None) -> LogConfig:
    driver = spec.log_driver if spec else None
    return LogConfig() if driver is None else LogConfig(type=driver.name, config=driver.options)


def extra_hosts(hosts: Sequence[str]) -> list[str]:
    """Swarm writes "ADDRESS NAME [ALIAS…]", the engine NAME:ADDRESS."""
    return [f"{name}:{address}" for address, *names in (line.split() for line in hosts) for name in names]


def security_options(privileges: Privileges | None) -> list[str]:
    """Raises Unsupported for what is Windows' (credentials) and for SELinux contexts."""
    if privileges is None:
        return []
    if privileges.credential_spec is not None:
        raise Unsupported("credential specs are for Windows only")
    if privileges.selinux_context is not None and not privileges.selinux_context.disable:
        raise Unsupported("SELinux contexts of services are not supported")
    options = ["no-new-privileges"] if privileges.no_new_privileges else []
    if privileges.seccomp is not None and privileges.seccomp.mode == "unconfined":
        options.append("seccomp=unconfined")
    if privileges.seccomp is not None and privileges.seccomp.mode == "custom":
        options.append("seccomp=" + _profile(privileges.seccomp.profile))
    if privileges.app_armor is not None and privileges.app_armor.mode == "disabled":
        options.append("apparmor=unconfined")
    return options


def _profile(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidArgument("the custom seccomp profile is not valid base64") from None


def _with_dns(config: HostConfig, spec: ContainerSpec) -> HostConfig:
    dns = spec.dns_config
    if dns is None:
        return config
    return msgspec.structs.replace(config, dns=dns.nameservers, dns_search=dns.search, dns_options=dns.options)


def _with_resources(config: HostConfig, resources: ResourceRequirements | None) -> HostConfig:
    if resources is None:
        return config
    limits, reservations = resources.limits, resources.reservations
    memory = limits.memory_bytes if limits else 0
    return msgspec.structs.replace(
        config,
        memory=memory,
        nano_cpus=limits.nano_cpus if limits else 0,
        pids_limit=(limits.pids or None) if limits else None,
        memory_reservation=reservations.memory_bytes if reservations else 0,
        memory_swap=_swap(memory, resources.swap_bytes),
        memory_swappiness=resources.memory_swappiness,
    )


def _swap(memory: int, swap: int | None) -> int:
    """The engine counts memory and swap together; -1 is unlimited."""
    if swap is None:
        return 0
    return -1 if swap < 0 else memory + swap


def network_mode(task: Task) -> str:
    """host, none, the first network's id, or "default" (the node's own bridge) where the task is on no network."""
    for attachment in task.networks_attachments:
        if attachment.network is not None and attachment.network.spec.driver in ("host", "null"):
            return "host" if attachment.network.spec.driver == "host" else "none"
    return task.networks_attachments[0].network_id if task.networks_attachments else "default"


def networking(task: Task) -> NetworkingConfig:
    """The addresses that the control plane gave, by network id."""
    if network_mode(task) in ("host", "none", "default"):
        return NetworkingConfig()
    return NetworkingConfig(endpoints_config={a.network_id: endpoint(a) for a in task.networks_attachments})


def endpoint(attachment: NetworkAttachment) -> EndpointSettings:
    """Without the aliases: they are the service's and lead to its VIP, not to one task."""
    plain = [address.partition("/")[0] for address in attachment.addresses]
    return EndpointSettings(
        ipam_config=EndpointIPAMConfig(
            ipv4_address=next((address for address in plain if ":" not in address), ""),
            ipv6_address=next((address for address in plain if ":" in address), ""),
        ),
        driver_opts=attachment.driver_opts or None,
        network_id=attachment.network_id,
    )
