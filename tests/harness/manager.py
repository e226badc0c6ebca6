"""One manager of a real cluster without its daemon: a store in memory, and its TLS port on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from common import http, places
from common.identity import Identity, Keys, requests
from common.identity.requests import Certified, JoinRequest
from common.identity.tls import Peer, Tls
from common.model import Cluster, Node, NodeSpec
from common.model.node import CAConfig, JoinTokens, ManagerStatus
from manager.api.context import Context
from manager.api.guests import Guests
from manager.api.peers import peers_application, serve_peers
from manager.ca.authority import certify, founded
from manager.ca.guard import PEER, RAFT, SESSION
from manager.ca.tokens import tokens
from manager.dispatcher.dispatcher import Dispatcher
from manager.loops.base import Loop
from manager.loops.root_rotation import RootRotation
from manager.members import Alone
from manager.store.base import Put, Stored
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from manager.vault import Vault

CLUSTER, OWN = "cluster0", "manager0"


class Manager:
    """`address` is the port's; `changed` is told of what others do to the store."""

    def __init__(self, store: StateStore, context: Context, identity: Identity) -> None:
        self.store = store
        self.context = context
        self.identity = identity
        self.address = identity.listen
        self.tls = Tls(identity)

    @property
    def cluster(self) -> Cluster:
        return next(iter(self.store.view().all(Cluster)))

    @property
    def tokens(self) -> JoinTokens:
        return tokens(self.cluster, self.context.vault)

    def node(self, id: str) -> Node:
        found = self.store.view().get(Node, id)
        assert found is not None
        return found

    async def put(self, *objects: Stored) -> None:
        await self.store.commit([Put(object) for object in objects])

    async def join(self, role: str = "worker", **wish: Any) -> Identity:
        """A new node, by the way that every node takes."""
        token = getattr(self.tokens, role)
        key, csr = requests.make_key()
        root = await requests.fetch_root(self.address, token)
        answer = await requests.join(self.address, root, JoinRequest(token=token, csr=csr, **wish))
        return identity_of(answer, key)

    async def renew(self) -> None:
        """The manager's own certificate, by what issues now; and the roots as they are now."""
        key, csr = requests.make_key()
        chain = await certify(self.cluster, self.context.vault, csr, Peer(OWN, "manager", CLUSTER))
        keys = Keys(tls=key, cluster=self.context.vault.key)
        self.identity = replace(self.identity, certificate=chain, keys=keys, roots=self.cluster.tls_info.trust_root)
        self.tls.reload(self.identity)

    async def step(self, loop: Loop | None = None) -> None:
        """Let the loop, else the one that changes roots, work once."""
        loop, view = loop or RootRotation(), self.store.view()
        for key in loop.start(view):
            await self.store.commit(loop.reconcile(view, key))  # type: ignore[arg-type]


def identity_of(answer: Certified, key: str) -> Identity:
    return Identity(
        node_id=answer.node_id,
        cluster_id=answer.cluster_id,
        role=answer.role,
        certificate=answer.certificate,
        roots=answer.roots,
        managers=answer.managers,
        keys=Keys(tls=key, cluster=answer.cluster_key),
    )


@asynccontextmanager
async def manager(config: CAConfig | None = None) -> AsyncIterator[Manager]:
    """Founds a cluster; beside the port's own paths, /shoal/v1/session, raft, guests and status answer who asks."""
    vault = Vault(bytes(32))
    async with open_store(MemoryLog()) as store:
        bare = Cluster(id=CLUSTER)
        spec = replace(bare.spec, ca_config=config or CAConfig())
        address = f"127.0.0.1:{free_port()}"
        status = ManagerStatus(leader=True, reachability="reachable", addr=address)
        own = Node(id=OWN, spec=NodeSpec(role="manager"), manager_status=status)
        await store.commit([Put(founded(replace(bare, spec=spec), vault)), Put(own)])
        key, csr = requests.make_key()
        cluster = next(iter(store.view().all(Cluster)))
        chain = await certify(cluster, vault, csr, Peer(OWN, "manager", CLUSTER))
        keys = Keys(tls=key, cluster=vault.key)
        identity = Identity(
            node_id=OWN,
            cluster_id=CLUSTER,
            listen=address,
            certificate=chain,
            roots=cluster.tls_info.trust_root,
            keys=keys,
        )
        made = Manager(store, Context(store, Dispatcher(store), vault, Alone(OWN), OWN, []), identity)
        app = peers_application(_routes(made.context), made.context, CLUSTER)
        async with serve_peers(app, address, made.tls):
            yield made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _routes(context: Context) -> list[web.RouteDef]:
    paths = (RAFT, places.PATH, "/shoal/v1/status")
    return [web.get(SESSION, _wait), *(web.get(path, _who) for path in paths), *Guests(context).routes()]


async def _who(request: web.Request) -> web.Response:
    """Who asks, and in a header by which of its ports: the same one is the same connection."""
    assert request.transport is not None
    answer = http.answer(replace(request[PEER], begin=0.0))
    answer.headers["X-Port"] = str(request.transport.get_extra_info("peername")[1])
    return answer


async def _wait(request: web.Request) -> web.StreamResponse:
    """Begins an answer that does not end, as a session does not."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    await asyncio.get_running_loop().create_future()
    return response
