"""Nodes and the cluster itself."""

from __future__ import annotations

from datetime import datetime

from msgspec import field

from common.model.base import EPOCH, Object, Spec
from common.model.service import SECOND
from common.model.shared import Driver, GenericResource, Platform
from common.model.task import NetworkAttachment


class NodeSpec(Spec, omit_defaults=False, frozen=True, kw_only=True):
    """`role`: worker or manager; `availability`: active, pause, drain."""

    name: str = ""
    labels: dict[str, str] = {}
    role: str = "worker"
    availability: str = "active"


class NodeResources(Spec, frozen=True, kw_only=True):
    nano_cpus: int = 0
    memory_bytes: int = 0
    generic_resources: list[GenericResource] = []


class Plugin(Spec, omit_defaults=False, frozen=True, kw_only=True):
    type: str
    name: str


class EngineDescription(Spec, frozen=True, kw_only=True):
    engine_version: str = ""
    labels: dict[str, str] = {}
    plugins: list[Plugin] = []


class TLSInfo(Spec, frozen=True, kw_only=True):
    trust_root: str = ""
    cert_issuer_subject: str = ""
    cert_issuer_public_key: str = ""


class NodeDescription(Spec, frozen=True, kw_only=True):
    """What a worker says of itself when its session starts, and again when it changes.

    `data_path`: the address at which it takes in the cluster's networks, empty where it is a cluster of its own.
    """

    hostname: str = ""
    platform: Platform = Platform()
    resources: NodeResources = NodeResources()
    engine: EngineDescription = EngineDescription()
    tls_info: TLSInfo | None = None
    data_path: str = ""


class NodeStatus(Spec, frozen=True, kw_only=True):
    """`state`: unknown, down, ready, disconnected."""

    state: str = "unknown"
    message: str = ""
    addr: str = ""


class ManagerStatus(Spec, frozen=True, kw_only=True):
    leader: bool = False
    reachability: str = "unknown"
    addr: str = ""


class Guest(Spec, frozen=True, kw_only=True):
    """A user's container of this node on a network of the cluster. Addresses have their prefix length."""

    container_id: str
    network_id: str
    addresses: list[str] = []


class Node(Object, frozen=True, kw_only=True):
    """`guests` is written by the manager that gives addresses to them (manager/api/guests.py). `attachments`, by the allocator:
    the node's own addresses, by which published ports reach tasks on other nodes.

    `manages` and `demoted_at` (manager/loops/roles.py) tell a manager that was demoted from one that a manager which is behind
    does not know as such yet. `instance` is of the run of the node's daemon that had the last session: another one may be
    another machine with the same identity.
    """

    spec: NodeSpec = NodeSpec()
    description: NodeDescription = NodeDescription()
    status: NodeStatus = NodeStatus()
    manager_status: ManagerStatus | None = None
    guests: list[Guest] = []
    attachments: list[NetworkAttachment] = []
    manages: bool = False
    demoted_at: datetime = EPOCH
    instance: str = ""


class Orchestration(Spec, omit_defaults=False, frozen=True, kw_only=True):
    task_history_retention_limit: int | None = 5


class RaftConfig(Spec, omit_defaults=False, frozen=True, kw_only=True):
    snapshot_interval: int = 10_000
    keep_old_snapshots: int | None = 0
    log_entries_for_slow_followers: int = 500
    election_tick: int = 10
    heartbeat_tick: int = 1


class DispatcherConfig(Spec, omit_defaults=False, frozen=True, kw_only=True):
    heartbeat_period: int = 5 * SECOND


class ExternalCA(Spec, frozen=True, kw_only=True):
    protocol: str = "cfssl"
    url: str = ""
    options: dict[str, str] = {}
    ca_cert: str = field(default="", name="CACert")


class CAConfig(Spec, frozen=True, kw_only=True):
    node_cert_expiry: int = 7776000 * SECOND
    external_cas: list[ExternalCA] = field(default_factory=list, name="ExternalCAs")
    signing_ca_cert: str = field(default="", name="SigningCACert")
    signing_ca_key: str = field(default="", name="SigningCAKey")
    force_rotate: int = 0


class EncryptionConfig(Spec, omit_defaults=False, frozen=True, kw_only=True):
    auto_lock_managers: bool = False


class TaskDefaults(Spec, frozen=True, kw_only=True):
    log_driver: Driver | None = None


class ClusterSpec(Spec, frozen=True, kw_only=True):
    """Docker's SwarmSpec."""

    name: str = "default"
    labels: dict[str, str] = {}
    orchestration: Orchestration = Orchestration()
    raft: RaftConfig = RaftConfig()
    dispatcher: DispatcherConfig = DispatcherConfig()
    ca_config: CAConfig = field(default_factory=CAConfig, name="CAConfig")
    encryption_config: EncryptionConfig = EncryptionConfig()
    task_defaults: TaskDefaults = TaskDefaults()


class JoinSecrets(Spec, frozen=True, kw_only=True):
    """The secret parts of the join tokens, sealed by the cluster's Vault."""

    worker: bytes = b""
    manager: bytes = b""


class JoinTokens(Spec, omit_defaults=False, frozen=True, kw_only=True):
    """As clients see them; none where nobody can join."""

    worker: str = ""
    manager: str = ""


class RootCA(Spec, frozen=True, kw_only=True):
    """A root that issues nodes' certificates. Never leaves the managers.

    `sealed_key` is its private key as the cluster's Vault keeps it, empty where an external CA signs. `cross_signed` is the same
    root signed by the one before it: nodes that know only that one get there by it.
    """

    certificate: str
    sealed_key: bytes = b""
    cross_signed: str = ""


class RootRotation(Spec, frozen=True, kw_only=True):
    """The root to come. `issuing`: all nodes trust it, and it issues; before that they only learn of it."""

    root: RootCA
    issuing: bool = False


class Cluster(Object, frozen=True, kw_only=True):
    """`implicit`: made by a first start, not by a user's `swarm init`, which then succeeds once.

    `removed_nodes` were removed while their certificates were still good: id → when those are over (manager/ca/removal.py).
    `tls_info.trust_root` is what nodes have to trust: the root's certificate and, while another one takes over, both.
    """

    spec: ClusterSpec = ClusterSpec()
    tls_info: TLSInfo = TLSInfo()
    data_path_port: int = 4789
    default_addr_pool: list[str] = field(default_factory=lambda: ["10.0.0.0/8"])
    subnet_size: int = 24
    join_secrets: JoinSecrets = JoinSecrets()
    unlock_key: bytes = (
        b""  # what managers' keys are sealed with on disk, itself sealed by the Vault; empty without autolock
    )
    root_ca: RootCA | None = None
    root_rotation: RootRotation | None = None
    removed_nodes: dict[str, datetime] = {}
    implicit: bool = False
