"""One node's assignments: what its worker was told, and what has to be told next.

Marks say that an object may have changed; `take` compares the marked objects with what was told. Work is per mark, never
per task of the node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from common.model import EPOCH, Config, Network, Node, Secret, Service, Task, TaskState, TaskStatus, Version
from common.wire import Assignments, Peer
from manager.dispatcher import endpoints, peers
from manager.dispatcher.directory import Directory
from manager.specs import resolve
from manager.store.base import View
from manager.store.indices import configs_of, secrets_of

replace = msgspec.structs.replace

# Tasks decide about networks, secrets and configs, networks about endpoints and peers: what decides comes first.
KINDS = ("tasks", "networks", "secrets", "configs", "endpoints", "peers")
HELD = ("networks", "secrets", "configs")
Need = tuple[str, str]  # (kind, id)


class NodeSet:
    """`marked` is called when something is marked; `closed` with the reason when the session has to end."""

    def __init__(
        self, node_id: str, directory: Directory, marked: Callable[[], None], closed: Callable[[str], None]
    ) -> None:
        self.node_id = node_id
        self.close = closed
        self._directory = directory
        self._marked = marked
        self._told: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        self._marks: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
        self._needed_by: dict[str, frozenset[Need]] = {}  # by task
        self._needs: Counter[Need] = Counter()  # how many tasks of this node need it

    def mark(self, kind: str, id: str) -> None:
        self._marks[kind][id] = None
        self._marked()

    @property
    def pending(self) -> int:
        """How many objects are marked."""
        return sum(map(len, self._marks.values()))

    def complete(self, view: View) -> Assignments:
        """Everything, for a session that begins."""
        for task in view.find(Task, "node", self.node_id):
            self._marks["tasks"][task.id] = None
        for network in view.all(Network):
            if network.spec.ingress:
                self._marks["networks"][network.id] = None
        for id in _visited(view, self.node_id):
            self._marks["networks"][id] = None
        changed, _ = self.take(view)
        return changed

    def take(self, view: View) -> tuple[Assignments, dict[str, list[str]]]:
        """What changed and what went since the last take; both count as told now."""
        changed: dict[str, dict[str, Any]] = {}
        removed: dict[str, list[str]] = {}
        for kind in KINDS:
            marks, self._marks[kind] = self._marks[kind], {}
            for id in marks:
                self._compare(view, kind, id, changed.setdefault(kind, {}), removed.setdefault(kind, []))
        return Assignments(**changed), {kind: ids for kind, ids in removed.items() if ids}

    def leave(self) -> None:
        """The session is over."""
        for kind in HELD:
            for id in self._told[kind]:
                self._directory.release(kind, id, self)

    def _compare(self, view: View, kind: str, id: str, changed: dict[str, Any], removed: list[str]) -> None:
        wanted = self._wanted(view, kind, id)
        if kind == "tasks":
            self._count_needs(id, wanted)
            self._drain(id, wanted)
        known = _stable(wanted) if isinstance(wanted, Task) else wanted
        if known == self._told[kind].get(id):
            return
        if wanted is None:
            del self._told[kind][id]
            removed.append(id)
        else:
            self._told[kind][id] = known
            changed[id] = wanted
        if kind in HELD:
            self._hold(view, kind, id, held=wanted is not None)

    def _wanted(self, view: View, kind: str, id: str) -> Any:
        match kind:
            case "tasks":
                return self._task(view, id)
            case "networks":
                network = view.get(Network, id)
                return network if network and self._needs_network(view, network) else None
            case "secrets":
                secret = view.get(Secret, id) if self._needs[kind, id] else None
                return self._directory.reveal(secret) if secret else None
            case "configs":
                return view.get(Config, id) if self._needs[kind, id] else None
            case "peers":
                return self._peer(view, id)
        on_network = id.partition("/")[2] in self._told["networks"]
        return self._directory.endpoint(view, id) if on_network else None

    def _peer(self, view: View, id: str) -> Peer | None:
        """Others' containers, and the node's own address; of its own containers it knows."""
        if peers.network_of(id) not in self._told["networks"]:
            return None
        peer = self._directory.peer(view, id)
        is_own_container = peer is not None and peer.node_id == self.node_id and not id.endswith(f"/{self.node_id}")
        return None if is_own_container else peer

    def _needs_network(self, view: View, network: Network) -> bool:
        return (
            network.spec.ingress
            or bool(self._needs["networks", network.id])
            or network.id in _visited(view, self.node_id)
        )

    def _task(self, view: View, id: str) -> Task | None:
        task = view.get(Task, id)
        if task is None or task.node_id != self.node_id or task.status.state.order < TaskState.ASSIGNED.order:
            return None
        service = view.get(Service, task.service_id)
        labels = service.spec.labels if service else {}
        resolved = replace(resolve(view, task), restarts=(), settled_at=None, service_annotations=labels or None)
        told = self._told["tasks"].get(id)
        if resolved.spec is None and told is not None:
            # Its service is gone; what the task runs stays what it was.
            resolved = replace(resolved, spec=told.spec)
        return resolved

    def _count_needs(self, id: str, task: Task | None) -> None:
        old, new = self._needed_by.pop(id, frozenset()), _needs(task)
        if new:
            self._needed_by[id] = new
        self._needs.update(new - old)
        self._needs.subtract(old - new)
        for need in old ^ new:
            self._marks[need[0]][need[1]] = None

    def _drain(self, id: str, task: Task | None) -> None:
        """A task that is told to stop loses its connections in the same message: its node waits for that before it stops it.

        The view may be ahead of what the directory has followed, so this cannot be left to the directory alone.
        """
        told = self._told["tasks"].get(id)
        if told is not None and _serves(told) and not _serves(task):
            self._directory.mark_endpoints(endpoints.keys(told))

    def _hold(self, view: View, kind: str, id: str, *, held: bool) -> None:
        if held:
            self._directory.hold(kind, id, self)
        else:
            self._directory.release(kind, id, self)
        if kind == "networks":
            self._mark_endpoints(view, id)
            self._mark_peers(view, id)

    def _mark_endpoints(self, view: View, network_id: str) -> None:
        for service in view.find(Service, "network", network_id):
            self._marks["endpoints"][endpoints.key(service.id, network_id)] = None
        for id in self._told["endpoints"]:
            if id.endswith(f"/{network_id}"):
                self._marks["endpoints"][id] = None

    def _mark_peers(self, view: View, network_id: str) -> None:
        self._marks["peers"].update(dict.fromkeys(peers.on_network(view, network_id)))
        for id in self._told["peers"]:
            if peers.network_of(id) == network_id:
                self._marks["peers"][id] = None


def _needs(task: Task | None) -> frozenset[Need]:
    """What the worker must have to run the task; nothing once it ended."""
    if task is None or task.status.state.terminal:
        return frozenset()
    overlays = (a.network for a in task.networks_attachments if a.network and a.network.spec.driver == "overlay")
    return frozenset(
        [
            *(("networks", network.id) for network in overlays),
            *(("secrets", id) for id in secrets_of(task.spec)),
            *(("configs", id) for id in configs_of(task.spec)),
        ]
    )


def _visited(view: View, node_id: str) -> frozenset[str]:
    """Networks that the node's guests are on."""
    node = view.get(Node, node_id)
    return frozenset(guest.network_id for guest in node.guests) if node else frozenset()


def _serves(task: Task | None) -> bool:
    return task is not None and task.desired_state.order <= TaskState.RUNNING.order


def _stable(task: Task) -> Task:
    """Without what the worker itself reports, as wire.digest leaves it out."""
    return replace(task, status=TaskStatus(), version=Version(), updated_at=EPOCH)
