"""Who may do what on a manager's TLS port: nodes by their certificates, and only as long as the store knows them.

Each request is checked against the store, so a removed node is out at once; what it has open is cut. A manager that is
behind asks the others before it turns somebody away, except among the managers' group itself, by which it catches up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import web

from common import http, places
from common.errors import Forbidden, TooLarge, Unauthorized
from common.identity.requests import JOIN, RENEW, REVIVE, ROOTS
from common.identity.tls import Peer, peer_of
from common.model import Cluster, Node
from manager.ca import removal
from manager.store.base import Changed, Store

SESSION, RAFT, SNAPSHOT = "/shoal/v1/session", "/shoal/v1/raft", "/shoal/v1/raft/snapshot"
ANYBODY = frozenset({ROOTS, JOIN, REVIVE})
NODES = frozenset({RENEW, SESSION, places.PATH})  # all else is for managers
GROUP = frozenset({RAFT, SNAPSHOT})
SMALL = 1 << 16  # bytes that somebody without a certificate may send
PEER: web.RequestKey[Peer] = web.RequestKey("peer", Peer)


class _Open(NamedTuple):
    request: web.Request
    peer: Peer
    path: str


class Guard:
    """`check` is the port's middleware; `run` cuts what removed nodes have open, for as long as the port is served."""

    def __init__(self, store: Store, cluster_id: str) -> None:
        self._store = store
        self._cluster_id = cluster_id
        self._open: dict[int, _Open] = {}  # by the request's identity

    @web.middleware
    async def check(self, request: web.Request, handler: http.Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else ""
        if path in ANYBODY:
            _check_size(request)
            return await handler(request)
        peer = peer_of(request)
        if peer is None:
            raise Unauthorized("a node's certificate is needed here: this port is for the nodes of the cluster")
        await self._admit(peer, path)
        request[PEER] = peer
        with self._listed(request, peer, path):
            return await handler(request)

    async def run(self) -> None:
        async for event in self._store.watch():
            changed = {change.object.id for change in event.changes if _is_less(change)}
            for one in list(self._open.values()):
                if one.peer.node_id in changed and self._refusal(one.peer, one.path) and one.request.transport:
                    one.request.transport.abort()

    async def _admit(self, peer: Peer, path: str) -> None:
        """Raises Forbidden, and Unavailable where this manager cannot tell."""
        if self._refusal(peer, path) is None:
            return
        await self._store.barrier()
        refusal = self._refusal(peer, path)
        if refusal is not None:
            raise Forbidden(refusal, ("node", peer.node_id))

    def _refusal(self, peer: Peer, path: str) -> str | None:
        """Why the peer may not, as far as this manager knows."""
        if peer.cluster_id != self._cluster_id:
            return f"node {peer.node_id} is of another cluster"
        view = self._store.view()
        node = view.get(Node, peer.node_id)
        if path in GROUP and peer.role == "manager" and self._may_be_new(peer, node):
            return None
        if node is None:
            return f"node {peer.node_id} is not in this cluster any more: it was removed. Let it leave and join anew"
        if path not in NODES and (peer.role != "manager" or removal.role(node) != "manager"):
            return f"node {peer.node_id} is no manager: this is for managers only"
        return None

    def _may_be_new(self, peer: Peer, node: Node | None) -> bool:
        """In the managers' group a member that is behind has to listen to managers that it does not know as such yet.

        The certificate says that the node is one, and what is known here may only be older than that. It begins before it was
        issued: so one from before a demotion is never taken for one from after it.
        """
        if node is None:
            removed = [id for cluster in self._store.view().all(Cluster) for id in cluster.removed_nodes]
            return peer.node_id not in removed
        return removal.role(node) == "manager" or peer.begin > node.demoted_at.timestamp()

    @contextmanager
    def _listed(self, request: web.Request, peer: Peer, path: str) -> Iterator[None]:
        self._open[id(request)] = _Open(request, peer, path)
        try:
            yield
        finally:
            del self._open[id(request)]


def check_own(request: web.Request, node_id: str) -> None:
    """A node speaks for itself alone. Raises Forbidden; the own node, on the UNIX socket, may all."""
    peer = request.get(PEER)
    if peer is not None and peer.node_id != node_id:
        raise Forbidden(f"node {peer.node_id} cannot ask for node {node_id}", ("node", peer.node_id))


def _check_size(request: web.Request) -> None:
    if request.body_exists and (request.content_length is None or request.content_length > SMALL):
        raise TooLarge(f"a body of at most {SMALL} bytes, with its length, is needed here")


def _is_less(change: Changed) -> bool:
    """Whether a node was removed, or is a manager no more."""
    before, after = change.before, change.after
    if not isinstance(before, Node):
        return False
    return not isinstance(after, Node) or removal.role(before) != removal.role(after)
