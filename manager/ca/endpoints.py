"""Certificates over HTTP: the roots, joining by a token, renewing. The asking side is common/identity/requests.py.

On the UNIX socket the own node asks, which needs no certificate; on the TLS port the guard has checked who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from aiohttp import web

from common import http
from common.errors import Forbidden, InvalidArgument, NotFound
from common.identity.certificate import Certificate
from common.identity.requests import JOIN, RENEW, REVIVE, ROOTS, Certified, JoinRequest, RenewRequest
from common.identity.tls import Peer
from common.ids import object_id
from common.model import Cluster, Node, NodeDescription, NodeSpec
from manager.api.context import Context
from manager.ca.authority import certify, issuing_root
from manager.ca.guard import PEER
from manager.ca.removal import role
from manager.ca.tokens import role_of, tokens
from manager.store.base import Change, Put, View

GRACE = timedelta(days=30)  # after its certificate's end a node may still come back by its key


class Certification:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(ROOTS, self.roots),
            web.post(JOIN, self.join),
            web.post(RENEW, self.renew),
            web.post(REVIVE, self.revive),
        ]

    async def roots(self, _: web.Request) -> web.Response:
        cluster = _cluster(self._context.view)
        return web.Response(text=cluster.tls_info.trust_root, content_type="application/x-pem-file")

    async def join(self, request: web.Request) -> web.Response:
        given = await http.body(request, JoinRequest)
        cluster = await self._current()
        granted = role_of(given.token, tokens(cluster, self._context.vault))
        if granted is None:
            raise Forbidden("A valid join token is necessary to join this cluster: `swarm join-token` shows it")
        if given.availability not in ("active", "pause", "drain"):
            raise InvalidArgument(f"invalid Availability: {given.availability!r}: use active, pause or drain")
        spec = NodeSpec(role=granted, availability=given.availability)
        described = NodeDescription(hostname=given.hostname)
        node = Node(id=object_id(), spec=spec, description=described, manages=granted == "manager")
        answer = await self._certified(cluster, node, given.csr)

        def build(view: View) -> tuple[Sequence[Change], None]:
            if role_of(given.token, tokens(_cluster(view), self._context.vault)) != granted:
                raise Forbidden("the join token was replaced by a new one in between: `swarm join-token` shows it")
            return [Put(node)], None

        await self._context.transact(build)
        return answer

    async def renew(self, request: web.Request) -> web.Response:
        given = await http.body(request, RenewRequest)
        peer = request.get(PEER)
        if peer is None and request.secure:
            raise Forbidden("a certificate is needed here")
        node_id = self._context.node_id if peer is None else peer.node_id
        return await self._certified(_cluster(self._context.view), self._node(node_id), given.csr)

    async def revive(self, request: web.Request) -> web.Response:
        """A node whose certificate ended while it was off: it proves itself by the certificate's key."""
        from manager.ca.certificates import check_chain, holder, is_for

        given = await http.body(request, RenewRequest)
        cluster = await self._current()
        peer = holder(given.expired)
        check_chain(given.expired, cluster.tls_info.trust_root)
        if not is_for(given.expired, given.csr):
            raise Forbidden("the request is not signed by the key of the certificate that it shows")
        _check_time(Certificate.of_pem(given.expired).not_after)
        if peer.cluster_id != cluster.id:
            raise Forbidden(f"node {peer.node_id} is of another cluster")
        return await self._certified(cluster, self._node(peer.node_id), given.csr)

    async def _current(self) -> Cluster:
        """The cluster as any manager knows it: a token or a node may have gone a moment ago."""
        await self._context.store.barrier()
        return _cluster(self._context.view)

    def _node(self, id: str) -> Node:
        node = self._context.view.get(Node, id)
        if node is None:
            raise Forbidden(f"node {id} is not in this cluster any more: it was removed. Let it leave and join anew")
        return node

    async def _certified(self, cluster: Cluster, node: Node, csr: str) -> web.Response:
        peer = Peer(node.id, role(node), cluster.id)
        certificate = await certify(cluster, self._context.vault, csr, peer)
        return http.answer(certified(self._context, cluster, peer, certificate))


def certified(context: Context, cluster: Cluster, peer: Peer, certificate: str) -> Certified:
    return Certified(
        node_id=peer.node_id,
        cluster_id=cluster.id,
        role=peer.role,
        certificate=certificate,
        roots=cluster.tls_info.trust_root,
        managers=manager_addresses(context.view),
        cluster_key=context.vault.key if peer.role == "manager" else b"",
    )


def manager_addresses(view: View) -> list[str]:
    """host:port of all managers, those that can be reached first."""
    known = [node.manager_status for node in view.all(Node) if node.manager_status and node.manager_status.addr]
    return [status.addr for status in sorted(known, key=lambda status: status.reachability != "reachable")]


def _cluster(view: View) -> Cluster:
    """Raises Unavailable where the cluster has no root."""
    cluster = next(iter(view.all(Cluster)), None)
    if cluster is None:
        raise NotFound("this manager does not know its cluster yet: ask another one, or try again")
    issuing_root(cluster)
    return cluster


def _check_time(end: float) -> None:
    now = datetime.now(UTC)
    over = now - datetime.fromtimestamp(end, UTC)
    if over < timedelta():
        raise InvalidArgument("the certificate is good still: renew by it")
    if over > GRACE:
        raise Forbidden(
            f"the node's certificate ended {over.days} days ago, which is more than {GRACE.days}: let it leave and join anew"
        )
