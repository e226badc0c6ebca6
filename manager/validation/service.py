"""A service's spec: what is wrong with it by itself. What it refers to is checked in references.py."""

from __future__ import annotations

from collections import Counter

from common.errors import InvalidArgument, Unsupported
from common.model import EndpointSpec, ServiceMode, ServiceSpec, TaskSpec, UpdateConfig
from common.model.service import Limit, Placement, Reservation, TaskRestartPolicy
from manager.scheduler.constraints import parse
from manager.validation.container import check_container
from manager.validation.names import check_labels, check_service_name

MIN_CPUS = 1_000_000  # 1e-9 CPUs
MIN_MEMORY = 4 << 20  # bytes
MAX_PORT = 65535


def check_service(spec: ServiceSpec) -> None:
    """Raises InvalidArgument with the sentence for the user."""
    check_service_name(spec.name)
    check_labels(spec.labels)
    _check_mode(spec)
    check_task(spec.task_template)
    _check_update("update", spec.update_config, rollback=True)
    _check_update("rollback", spec.rollback_config, rollback=False)
    if spec.endpoint_spec is not None:
        _check_endpoint(spec.endpoint_spec)


def check_task(task: TaskSpec) -> None:
    if task.plugin_spec is not None or task.runtime == "plugin":
        raise Unsupported("services of plugins are not supported: use a container")
    if task.network_attachment_spec is not None or task.runtime == "attachment":
        raise InvalidArgument("TaskSpec: network attachments are made by the cluster itself, not by a service")
    if task.runtime not in ("", "container"):
        raise InvalidArgument(f"TaskSpec: unknown runtime {task.runtime!r}: use container")
    if task.container_spec is None:
        raise InvalidArgument("TaskSpec: missing runtime: a ContainerSpec is needed")
    check_container(task.container_spec)
    if task.resources is not None:
        _check_resources(task.resources.limits or Limit(), task.resources.reservations or Reservation())
    _check_restart(task.restart_policy or TaskRestartPolicy())
    _check_placement(task.placement or Placement())


def _check_mode(spec: ServiceSpec) -> None:
    mode = spec.mode
    given = [m for m in (mode.replicated, mode.global_, mode.replicated_job, mode.global_job) if m is not None]
    if len(given) > 1:
        raise InvalidArgument("invalid service mode: a service has one mode only")
    counts = [mode.replicated.replicas] if mode.replicated else []
    if mode.replicated_job:
        counts += [mode.replicated_job.max_concurrent, mode.replicated_job.total_completions]
        if mode.replicated_job.max_concurrent == 0:
            raise InvalidArgument("invalid service mode: MaxConcurrent of a job must be at least 1")
    if any(count is not None and count < 0 for count in counts):
        raise InvalidArgument("Number of replicas must be non-negative")
    if (mode.replicated_job or mode.global_job) and (spec.update_config or spec.rollback_config):
        raise InvalidArgument("update and rollback configurations are not allowed for services in a job mode")


def same_mode(old: ServiceMode, new: ServiceMode) -> bool:
    return _mode(old) == _mode(new)


def _mode(mode: ServiceMode) -> tuple[bool, bool, bool]:
    return mode.global_ is not None, mode.replicated_job is not None, mode.global_job is not None


def _check_resources(limits: Limit, reservations: Reservation) -> None:
    for part in (limits, reservations):
        if part.nano_cpus and part.nano_cpus < MIN_CPUS:
            raise InvalidArgument(f"invalid cpu value {part.nano_cpus / 1e9:g}: Must be at least {MIN_CPUS / 1e9:g}")
        if part.memory_bytes and part.memory_bytes < MIN_MEMORY:
            raise InvalidArgument(f"invalid memory value {part.memory_bytes}: Must be at least 4MiB")
    if limits.pids < 0:
        raise InvalidArgument(f"invalid pids value {limits.pids}: it must not be negative")
    for resource in reservations.generic_resources:
        kind = resource.named.kind if resource.named else resource.discrete.kind if resource.discrete else ""
        if not kind or (resource.discrete and resource.discrete.value < 1):
            raise InvalidArgument("invalid generic resource: a kind and a number of at least 1 are needed")


def _check_restart(policy: TaskRestartPolicy) -> None:
    if policy.condition not in ("", "none", "on-failure", "any"):
        raise InvalidArgument(f"invalid restart condition {policy.condition!r}: use none, on-failure or any")
    for name, value in (("delay", policy.delay), ("window", policy.window)):
        if value is not None and value < 0:
            raise InvalidArgument(f"TaskSpec: restart-{name} cannot be negative")
    if policy.max_attempts is not None and policy.max_attempts < 0:
        raise InvalidArgument("TaskSpec: restart-max-attempts cannot be negative")


def _check_placement(placement: Placement) -> None:
    for constraint in placement.constraints:
        parse(constraint)
    for preference in placement.preferences:
        descriptor = preference.spread.spread_descriptor if preference.spread else ""
        group, labels, key = descriptor.partition(".labels.")
        if not labels or not key or group not in ("node", "engine"):
            raise InvalidArgument(
                f"invalid placement preference {descriptor!r}: use node.labels.<key> or engine.labels.<key>"
            )
    if placement.max_replicas < 0:
        raise InvalidArgument("invalid placement: MaxReplicas must not be negative")


def _check_update(what: str, config: UpdateConfig | None, *, rollback: bool) -> None:
    if config is None:
        return
    if config.parallelism < 0:
        raise InvalidArgument(f"TaskSpec: {what}-parallelism cannot be negative")
    if config.delay < 0:
        raise InvalidArgument(f"TaskSpec: {what}-delay cannot be negative")
    if config.monitor < 0:
        raise InvalidArgument(f"TaskSpec: {what}-monitor cannot be negative")
    if not 0 <= config.max_failure_ratio <= 1:
        raise InvalidArgument(f"TaskSpec: {what}-maxfailureratio cannot be less than 0 or bigger than 1")
    actions = ("", "pause", "continue", *(["rollback"] if rollback else ()))
    if config.failure_action not in actions:
        raise InvalidArgument(f"unrecognized {what} failure action {config.failure_action}")
    if config.order not in ("", "stop-first", "start-first"):
        raise InvalidArgument(f"unrecognized {what} order {config.order}")


def _check_endpoint(spec: EndpointSpec) -> None:
    if spec.mode not in ("", "vip", "dnsrr"):
        raise InvalidArgument(f"invalid endpoint mode {spec.mode!r}: use vip or dnsrr")
    for port in spec.ports:
        if port.protocol not in ("tcp", "udp", "sctp"):
            raise InvalidArgument(f"invalid protocol {port.protocol!r} of a published port: use tcp, udp or sctp")
        if port.publish_mode not in ("ingress", "host"):
            raise InvalidArgument(f"invalid publish mode {port.publish_mode!r}: use ingress or host")
        if not 0 < port.target_port <= MAX_PORT or not 0 <= port.published_port <= MAX_PORT:
            raise InvalidArgument(
                f"invalid port {port.published_port}:{port.target_port}: ports are from 1 to {MAX_PORT}"
            )
        if spec.mode == "dnsrr" and port.publish_mode == "ingress":
            raise InvalidArgument("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
    published = Counter((p.protocol, p.published_port, p.publish_mode) for p in spec.ports if p.published_port)
    if any(count > 1 for count in published.values()):
        raise InvalidArgument("EndpointSpec: duplicate published ports provided")
