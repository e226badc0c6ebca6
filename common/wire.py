"""Manager ↔ worker: the messages of a session, MessagePack over one WebSocket (GET /shoal/v1/session).

Worker → manager: Hello once, then StatusBatch, Report, Beat, LogChunk. Manager → worker: Welcome once, then Membership,
Complete, Incremental, LogRequest, LogMore, LogCancel, and a Beat for each Beat, by which the worker knows that the manager
lives. A worker that sees a gap in `sequence` reconnects; `Hello.digest` lets the manager answer with an empty Incremental
where the worker has everything already.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from common.model import EPOCH, Config, Network, NodeDescription, PortConfig, Secret, Task, TaskStatus, Version

PROTOCOL = 1
LOG_WINDOW = 8


class Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    pass


class Backend(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One task behind a service on one network. `ready`: running, healthy and not stopping, so it gets new connections."""

    task_id: str
    slot: int = 0
    node_id: str = ""
    container_name: str = ""
    address: str = ""  # without prefix length
    aliases: list[str] = []
    ready: bool = True


class ServiceEndpoint(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A service on one network: its names, VIP (empty for dnsrr) and backends. On the ingress network `ports` are published."""

    service_id: str
    service_name: str
    network_id: str
    vip: str = ""
    aliases: list[str] = []
    ports: list[PortConfig] = []
    backends: list[Backend] = []

    @property
    def id(self) -> str:
        return f"{self.service_id}/{self.network_id}"


class Peer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something with addresses on a network of the cluster: a task, a user's container, or a node itself on the ingress network.

    `host` and `port` are where its node takes in what is sent to it: the node's data path.
    """

    network_id: str
    node_id: str
    host: str
    port: int = 4789
    addresses: list[str] = []  # without prefix length


class Assignments(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Objects that a node needs, each kind by id. Tasks carry their resolved spec; secrets and configs their data.

    `peers` are all that is on the networks, by network and owner; what this node's own containers have there is not among them.
    """

    tasks: dict[str, Task] = {}
    networks: dict[str, Network] = {}
    secrets: dict[str, Secret] = {}
    configs: dict[str, Config] = {}
    endpoints: dict[str, ServiceEndpoint] = {}
    peers: dict[str, Peer] = {}


class Hello(Message, frozen=True, kw_only=True):
    node_id: str
    description: NodeDescription
    protocol: int = PROTOCOL
    digest: str = ""  # of the assignments that the worker holds
    sequence: int = 0
    guests: list[str] = []  # ids of users' containers that are, or are about to be, on networks of the cluster
    instance: str = ""  # of this run of the node's daemon, random


class TaskUpdate(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    task_id: str
    status: TaskStatus


class StatusBatch(Message, frozen=True, kw_only=True):
    updates: list[TaskUpdate]


class Report(Message, frozen=True, kw_only=True):
    """The node's description changed."""

    description: NodeDescription


class Beat(Message, frozen=True, kw_only=True):
    pass


class LogRequest(Message, frozen=True, kw_only=True):
    """Ask for the log of one task's container. `since` and `until` bound it; tail -1 is everything."""

    id: str
    task_id: str
    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    since: datetime | None = None
    until: datetime | None = None
    tail: int = -1
    details: bool = False


class LogCancel(Message, frozen=True, kw_only=True):
    id: str


class LogMore(Message, frozen=True, kw_only=True):
    """The reader took a chunk: one more may follow. At most LOG_WINDOW chunks of a request are on their way at once."""

    id: str


class LogChunk(Message, frozen=True, kw_only=True):
    """Lines of a requested log: (time, stream 1 = stdout 2 = stderr, line with its newline). `end` closes the request."""

    id: str
    lines: list[tuple[datetime, int, bytes]] = []
    end: bool = False
    error: str = ""


class Welcome(Message, frozen=True, kw_only=True):
    node_id: str
    heartbeat: float  # seconds between Beats
    silence: float = 2.0  # seconds without a word after which the worker looks for another manager


class Membership(Message, frozen=True, kw_only=True):
    """What the node is wanted as, after Welcome and whenever it changes. `role`: what its certificate should say; `renew`: it
    should have a new one now. `leaving`: it is a manager still, but only until the group has let it go, which it may not hear
    of by itself. `unlock_key`: by which a manager's keys are sealed on disk, None where they are not."""

    role: str
    managers: list[str] = []  # host:port, best first
    roots: str = ""  # PEM
    renew: bool = False
    leaving: bool = False
    unlock_key: str | None = None


class Complete(Message, frozen=True, kw_only=True):
    sequence: int
    assignments: Assignments


class Incremental(Message, frozen=True, kw_only=True):
    """Changed objects in full, removed ones by id and kind ("tasks", "networks", …). Follows `sequence - 1`."""

    sequence: int
    changed: Assignments = Assignments()
    removed: dict[str, list[str]] = {}


FromWorker = Hello | StatusBatch | Report | Beat | LogChunk
FromManager = Welcome | Membership | Beat | Complete | Incremental | LogRequest | LogMore | LogCancel

encode = msgspec.msgpack.Encoder().encode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
decode_from_manager = msgspec.msgpack.Decoder(FromManager).decode

_canonical = msgspec.msgpack.Encoder(order="deterministic").encode


def digest(assignments: Assignments) -> str:
    """What `Hello.digest` carries: equal on both sides where the worker needs nothing new.

    The worker's own reports (a task's status, and the version and time that come from storing it) are left out: they
    are not sent back to it.
    """
    tasks = {
        id: msgspec.structs.replace(task, status=TaskStatus(), version=Version(), updated_at=EPOCH)
        for id, task in assignments.tasks.items()
    }
    return hashlib.sha256(_canonical(msgspec.structs.replace(assignments, tasks=tasks))).hexdigest()
