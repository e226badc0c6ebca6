"""Services: what a user asks for. Swarm's ServiceSpec; durations in nanoseconds, memory in bytes, CPUs in 1e-9 CPU."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import field

from common.model.base import Object, Spec, Version
from common.model.shared import Driver, GenericResource, HealthConfig, Mount, Platform, Ulimit

SECOND = 1_000_000_000


class FileTarget(Spec, omit_defaults=False, frozen=True, kw_only=True):
    name: str = ""
    uid: str = "0"
    gid: str = "0"
    mode: int = 0o444


class SecretReference(Spec, frozen=True, kw_only=True):
    file: FileTarget | None = None
    secret_id: str = ""
    secret_name: str = ""


class ConfigReference(Spec, frozen=True, kw_only=True):
    file: FileTarget | None = None
    runtime: dict[str, Any] | None = None
    config_id: str = ""
    config_name: str = ""


class CredentialSpec(Spec, frozen=True, kw_only=True):
    config: str = ""
    file: str = ""
    registry: str = ""


class SELinuxContext(Spec, frozen=True, kw_only=True):
    disable: bool = False
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SeccompOptions(Spec, frozen=True, kw_only=True):
    mode: str = ""
    profile: str = ""  # base64


class AppArmorOptions(Spec, frozen=True, kw_only=True):
    mode: str = ""


class Privileges(Spec, frozen=True, kw_only=True):
    credential_spec: CredentialSpec | None = None
    selinux_context: SELinuxContext | None = field(default=None, name="SELinuxContext")
    seccomp: SeccompOptions | None = None
    app_armor: AppArmorOptions | None = None
    no_new_privileges: bool = False


class DNSConfig(Spec, frozen=True, kw_only=True):
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []


class ContainerSpec(Spec, frozen=True, kw_only=True):
    """The container of a task. `command` replaces the entrypoint, `args` the command; templates in hostname, env and mounts."""

    image: str = ""
    labels: dict[str, str] = {}
    command: list[str] = []
    args: list[str] = []
    hostname: str = ""
    env: list[str] = []
    dir: str = ""
    user: str = ""
    groups: list[str] = []
    privileges: Privileges | None = None
    tty: bool = False
    open_stdin: bool = False
    read_only: bool = False
    mounts: list[Mount] = []
    stop_signal: str = ""
    stop_grace_period: int | None = None
    healthcheck: HealthConfig | None = None
    hosts: list[str] = []
    dns_config: DNSConfig | None = field(default=None, name="DNSConfig")
    secrets: list[SecretReference] = []
    oom_score_adj: int = 0
    configs: list[ConfigReference] = []
    isolation: str = ""
    init: bool | None = None
    sysctls: dict[str, str] = {}
    capability_add: list[str] = []
    capability_drop: list[str] = []
    ulimits: list[Ulimit] = []


class NetworkAttachmentSpec(Spec, frozen=True, kw_only=True):
    container_id: str = ""


class Limit(Spec, frozen=True, kw_only=True):
    nano_cpus: int = 0
    memory_bytes: int = 0
    pids: int = 0


class Reservation(Spec, frozen=True, kw_only=True):
    nano_cpus: int = 0
    memory_bytes: int = 0
    generic_resources: list[GenericResource] = []


class ResourceRequirements(Spec, frozen=True, kw_only=True):
    limits: Limit | None = None
    reservations: Reservation | None = None
    swap_bytes: int | None = None
    memory_swappiness: int | None = None


class TaskRestartPolicy(Spec, frozen=True, kw_only=True):
    """`condition`: none, on-failure, any (the default)."""

    condition: str = "any"
    delay: int | None = None  # default 5 s
    max_attempts: int | None = None  # 0 and None: unlimited
    window: int | None = None


class SpreadOver(Spec, frozen=True, kw_only=True):
    spread_descriptor: str = ""


class PlacementPreference(Spec, frozen=True, kw_only=True):
    spread: SpreadOver | None = None


class Placement(Spec, frozen=True, kw_only=True):
    constraints: list[str] = []
    preferences: list[PlacementPreference] = []
    max_replicas: int = 0
    platforms: list[Platform] = []


class NetworkAttachmentConfig(Spec, frozen=True, kw_only=True):
    target: str = ""  # name or id; an id once the service is stored
    aliases: list[str] = []
    driver_opts: dict[str, str] = {}


class TaskSpec(Spec, frozen=True, kw_only=True):
    plugin_spec: dict[str, Any] | None = None
    container_spec: ContainerSpec | None = None
    network_attachment_spec: NetworkAttachmentSpec | None = None
    resources: ResourceRequirements | None = None
    restart_policy: TaskRestartPolicy | None = None
    placement: Placement | None = None
    force_update: int = 0
    runtime: str = ""
    networks: list[NetworkAttachmentConfig] = []
    log_driver: Driver | None = None


class Replicated(Spec, omit_defaults=False, frozen=True, kw_only=True):
    replicas: int | None = 1


class Global(Spec, frozen=True, kw_only=True):
    pass


class ReplicatedJob(Spec, frozen=True, kw_only=True):
    max_concurrent: int | None = None
    total_completions: int | None = None


class GlobalJob(Spec, frozen=True, kw_only=True):
    pass


class ServiceMode(Spec, frozen=True, kw_only=True):
    replicated: Replicated | None = None
    global_: Global | None = field(default=None, name="Global")
    replicated_job: ReplicatedJob | None = None
    global_job: GlobalJob | None = None


class UpdateConfig(Spec, omit_defaults=False, frozen=True, kw_only=True):
    """`failure_action`: pause, continue, rollback; `order`: stop-first, start-first; `parallelism` 0: all at once."""

    parallelism: int = 1
    delay: int = 0
    failure_action: str = "pause"
    monitor: int = 5 * SECOND
    max_failure_ratio: float = 0.0
    order: str = "stop-first"


class PortConfig(Spec, frozen=True, kw_only=True):
    """`publish_mode`: ingress (every node, balanced) or host (the task's node). `published_port` 0: chosen by the allocator."""

    name: str = ""
    protocol: str = "tcp"
    target_port: int = 0
    published_port: int = 0
    publish_mode: str = "ingress"


class EndpointSpec(Spec, frozen=True, kw_only=True):
    mode: str = "vip"
    ports: list[PortConfig] = []


class ServiceSpec(Spec, frozen=True, kw_only=True):
    name: str = ""
    labels: dict[str, str] = {}
    task_template: TaskSpec = TaskSpec()
    mode: ServiceMode = ServiceMode()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    networks: list[NetworkAttachmentConfig] = []  # deprecated by Docker: merged into task_template.networks
    endpoint_spec: EndpointSpec | None = None


class VirtualIP(Spec, frozen=True, kw_only=True):
    network_id: str
    addr: str = ""  # with prefix length: 10.0.1.2/24


class Endpoint(Spec, omit_defaults=False, frozen=True, kw_only=True):
    """What the allocator gave: `ports` with their published numbers, one VIP per network."""

    spec: EndpointSpec = EndpointSpec()
    ports: list[PortConfig] = []
    virtual_ips: list[VirtualIP] = []


class UpdateStatus(Spec, frozen=True, kw_only=True):
    """`state`: updating, paused, completed, rollback_started, rollback_paused, rollback_completed."""

    state: str
    started_at: datetime | None = None
    completed_at: datetime | None = None
    message: str = ""


class JobStatus(Spec, frozen=True, kw_only=True):
    job_iteration: Version = Version()
    last_execution: datetime | None = None


class Service(Object, frozen=True, kw_only=True):
    """`spec_version` numbers the task template (with the host-mode ports): it changes when a new one needs new tasks, and
    an old number returns with its template (rollback). Tasks name it instead of copying the spec; templates that tasks
    may still run are kept in `past_templates` by their number. manager/specs.py is the only reader and writer of both.
    `respecified_at`: the object's version that the last change of `spec` saw; a client that has seen a later one knows it."""

    spec: ServiceSpec
    previous_spec: ServiceSpec | None = None
    endpoint: Endpoint = Endpoint()
    update_status: UpdateStatus | None = None
    job_status: JobStatus | None = None
    spec_version: Version = Version()
    past_templates: dict[int, TaskSpec] = field(default_factory=dict)
    respecified_at: int = 0
    pending_delete: bool = False
