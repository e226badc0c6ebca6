"""Who must hear of what: which nodes' assignments one changed object concerns. Constant work per change and node.

Nodes say what they hold (networks, secrets, configs); the directory marks what changed there and keeps endpoints and
peers, which many nodes share, until they change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from msgspec.structs import replace

from common.model import Cluster, Config, Network, Node, Secret, Service, Task, TaskState
from common.wire import Peer, ServiceEndpoint
from manager.dispatcher import endpoints, peers
from manager.store.base import Changed, View
from manager.store.indices import networks_of_service


class Holder(Protocol):
    """One node's assignments, as the directory sees them."""

    node_id: str

    def mark(self, kind: str, id: str) -> None:
        """The object may have changed for this node."""

    def close(self, reason: str) -> None: ...


class Directory:
    def __init__(self, reveal: Callable[[Secret], Secret] = lambda secret: secret) -> None:
        self.reveal = reveal
        self._nodes: dict[str, Holder] = {}
        self._holders: defaultdict[tuple[str, str], dict[str, Holder]] = defaultdict(dict)
        self._endpoints: dict[str, ServiceEndpoint | None] = {}
        self._peers: dict[str, Peer | None] = {}

    # -- who holds what

    def enter(self, holder: Holder) -> None:
        """From now on `holder` speaks for its node; one from before is told to go."""
        if (before := self._nodes.get(holder.node_id)) is not None:
            before.close("the node began a new session")
        self._nodes[holder.node_id] = holder

    def leave(self, holder: Holder) -> None:
        if self._nodes.get(holder.node_id) is holder:
            del self._nodes[holder.node_id]

    def get(self, node_id: str) -> Holder | None:
        return self._nodes.get(node_id)

    def hold(self, kind: str, id: str, holder: Holder) -> None:
        self._holders[kind, id][holder.node_id] = holder

    def release(self, kind: str, id: str, holder: Holder) -> None:
        holders = self._holders[kind, id]
        if holders.get(holder.node_id) is holder:
            del holders[holder.node_id]
        if not holders:
            del self._holders[kind, id]

    def endpoint(self, view: View, id: str) -> ServiceEndpoint | None:
        """See endpoints.endpoint; computed once per change, whoever asks."""
        if id not in self._endpoints:
            self._endpoints[id] = endpoints.endpoint(view, id)
        return self._endpoints[id]

    def peer(self, view: View, id: str) -> Peer | None:
        """See peers.peer; computed once per change, whoever asks."""
        if id not in self._peers:
            self._peers[id] = peers.peer(view, id)
        return self._peers[id]

    # -- what changed

    def mark(self, view: View, changed: Changed) -> None:
        match changed.object:
            case Task():
                self._mark_task(changed)
            case Service():
                self._mark_service(changed)
            case Network(id=id):
                self._mark_network(view, id, changed)
            case Secret(id=id):
                self._mark_holders("secrets", id, id)
            case Config(id=id):
                self._mark_holders("configs", id, id)
            case Node():
                self._mark_node(view, changed)
            case Cluster():
                self._mark_cluster(changed)

    def _mark_task(self, changed: Changed) -> None:
        before, after = changed.before, changed.after
        assert isinstance(before, Task | None)
        assert isinstance(after, Task | None)
        if not _only_reported(before, after):
            for task in (before, after):
                if task is not None and task.node_id in self._nodes:
                    self._nodes[task.node_id].mark("tasks", task.id)
        self.mark_endpoints(endpoints.touched(before, after))
        self._mark_peers(peers.touched_by_task(before, after))

    def _mark_service(self, changed: Changed) -> None:
        services = [s for s in (changed.before, changed.after) if isinstance(s, Service)]
        networks = dict.fromkeys(id for service in services for id in networks_of_service(service))
        self.mark_endpoints(endpoints.key(changed.object.id, network_id) for network_id in networks)

    def _mark_network(self, view: View, id: str, changed: Changed) -> None:
        network = changed.object
        assert isinstance(network, Network)
        everywhere = network.spec.ingress
        for holder in list(self._nodes.values() if everywhere else self._holders_of("networks", id)):
            holder.mark("networks", id)
        # Tasks carry their networks; a network changes so rarely that its tasks may be walked.
        for task in view.find(Task, "network", id):
            if task.node_id in self._nodes:
                self._nodes[task.node_id].mark("tasks", task.id)
        self.mark_endpoints(endpoints.key(service.id, id) for service in view.find(Service, "network", id))

    def _mark_node(self, view: View, changed: Changed) -> None:
        before, after = changed.before, changed.after
        assert isinstance(before, Node | None)
        assert isinstance(after, Node | None)
        self._mark_peers(peers.touched_by_node(view, before, after))
        holder = self._nodes.get(changed.object.id)
        if holder is not None and after is None:
            holder.close("the node was removed from the cluster")
        elif holder is not None:
            self._mark_visited(changed)

    def _mark_cluster(self, changed: Changed) -> None:
        """Another data path port is that of all peers. A cluster chooses it once, when there are hardly any."""
        ports = [c.data_path_port for c in (changed.before, changed.after) if isinstance(c, Cluster)]
        if len(set(ports)) > 1:
            self._mark_peers(list(self._peers))

    def _mark_peers(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._peers.pop(id, None)
            self._mark_holders("networks", peers.network_of(id), id, as_kind="peers")

    def _mark_visited(self, changed: Changed) -> None:
        before, after = ([*n.guests] if isinstance(n, Node) else [] for n in (changed.before, changed.after))
        for guest in [guest for guest in (*before, *after) if guest not in before or guest not in after]:
            self._nodes[changed.object.id].mark("networks", guest.network_id)

    def mark_endpoints(self, ids: Iterable[str]) -> None:
        """These endpoints may look different from now on."""
        for id in ids:
            self._endpoints.pop(id, None)
            self._mark_holders("networks", id.partition("/")[2], id, as_kind="endpoints")

    def _mark_holders(self, kind: str, id: str, marked: str, *, as_kind: str = "") -> None:
        for holder in self._holders_of(kind, id):
            holder.mark(as_kind or kind, marked)

    def _holders_of(self, kind: str, id: str) -> Iterator[Holder]:
        yield from tuple(self._holders.get((kind, id), {}).values())


def _only_reported(before: Task | None, after: Task | None) -> bool:
    """Whether nothing changed but what the worker itself said: most changes are such, and none is news to it."""
    if before is None or after is None or before.status.state.order < TaskState.ASSIGNED.order:
        return False
    if before.status.state.terminal != after.status.state.terminal:
        return False
    return replace(before, status=after.status, version=after.version, updated_at=after.updated_at) == after
