"""The cluster itself: inspect, init, leave, update, keys, and what `docker info` says of it.

A cluster of one exists from the first start; `init` takes it over once, `leave --force` begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from common import http
from common.errors import NotAcceptable, Unavailable, VersionConflict
from common.identity.sealing import make_unlock_key
from common.identity.tls import Peer
from common.model import Cluster, ClusterSpec, Config, Network, Node, NodeSpec, Secret, Service, Task
from common.model.node import EncryptionConfig, JoinSecrets, ManagerStatus
from manager.api import shapes
from manager.api.context import Context
from manager.bootstrap import manager_node, predefined, seed
from manager.ca.authority import certify, founded, issuing_root, probe
from manager.ca.endpoints import certified
from manager.ca.rotation import respecified
from manager.ca.tokens import ROLES, renewed, tokens
from manager.loops.slots import remove
from manager.specs import task_spec
from manager.store.base import Change, Delete, Put, Stored, View
from manager.validation.swarm import InitRequest, check_init, check_spec, with_defaults
from manager.vault import Vault

PORT = 2377
NO_LEADER = (
    "The swarm does not have a leader. It's possible that too few managers are online. "
    "Make sure more than half of the managers are online."
)


class Swarm:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/swarm", self.inspect),
            web.post("/swarm/init", self.init),
            web.post("/swarm/leave", self.leave),
            web.post("/swarm/update", self.update),
            web.get("/swarm/unlockkey", self.unlock_key),
            web.get("/shoal/v1/swarm-info", self.info),
        ]

    async def inspect(self, _: web.Request) -> web.Response:
        cluster = _cluster(self._context.view)
        return http.answer(_shown(cluster) | {"JoinTokens": shapes.builtins(tokens(cluster, self._context.vault))})

    async def init(self, request: web.Request) -> web.Response:
        """Answers the node's id or, where it sends its request for a certificate with it, its certificate."""
        given = await http.body(request, InitRequest)
        check_init(given)
        context = self._context
        present = _cluster(context.view)
        if not present.implicit and not given.csr:  # its own daemon asks again where it died before it had the answer
            raise Unavailable(
                'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
            )
        cluster = locking(founded(_initialized(present, given), context.vault), context.vault)
        own = Peer(context.node_id, "manager", cluster.id)
        certificate = await certify(cluster, context.vault, given.csr, own) if given.csr else ""

        def build(view: View) -> tuple[Sequence[Change], None]:
            return [Put(cluster), *_own_node(view, context.node_id, given)], None

        await context.transact(build)
        if not given.csr:
            return http.answer(context.node_id)
        return http.answer(certified(context, cluster, own, certificate))

    async def leave(self, _: web.Request) -> web.Response:
        """A cluster of one that nobody has made begins anew."""
        node_id = self._context.node_id

        def build(view: View) -> tuple[Sequence[Change], None]:
            return _erased(view, node_id), None

        await self._context.transact(build)
        await self._context.transact(lambda view: (seed(view, node_id, self._context.pools), None))
        return http.empty(200)

    async def update(self, request: web.Request) -> web.Response:
        spec = await http.body(request, ClusterSpec)
        seen = http.required_number(request, "version")
        check_spec(spec)
        rotated = [role for role in ROLES if http.flag(request, f"rotate{role.capitalize()}Token")]

        cluster = _cluster(self._context.view)
        changed = respecified(cluster, spec, self._context.vault)
        if rotated:
            issuing_root(cluster)  # or there is nothing to join
            changed = replace(changed, join_secrets=renewed(changed.join_secrets, self._context.vault, *rotated))
        changed = locking(changed, self._context.vault, anew=http.flag(request, "rotateManagerUnlockKey"))
        if spec.ca_config != cluster.spec.ca_config:
            await probe(changed, self._context.vault)

        def build(view: View) -> tuple[Sequence[Change], None]:
            if _cluster(view).version.index != seen:
                raise VersionConflict("update out of sequence", ("swarm", cluster.id))
            return [Put(changed)], None

        await self._context.transact(build)
        return http.empty(200)

    async def unlock_key(self, _: web.Request) -> web.Response:
        return http.answer({"UnlockKey": self._context.vault.unlock_key(_cluster(self._context.view)) or ""})

    async def info(self, _: web.Request) -> web.Response:
        """What a manager adds to the Swarm part of GET /info."""
        view = self._context.view
        cluster = next(iter(view.all(Cluster)), None)
        if cluster is None or view.get(Node, self._context.node_id) is None:
            return http.answer({"LocalNodeState": "pending"})
        managers = [node for node in view.all(Node) if node.spec.role == "manager"]
        leads = any(member.leader for member in self._context.group.members())
        return http.answer(
            {
                "LocalNodeState": "active",
                "ControlAvailable": True,
                "Error": "" if leads else NO_LEADER,
                "RemoteManagers": [
                    {"NodeID": n.id, "Addr": n.manager_status.addr} for n in managers if n.manager_status
                ],
                "Nodes": view.count(Node),
                "Managers": len(managers),
                "Cluster": _shown(cluster),
            }
        )


def _cluster(view: View) -> Cluster:
    cluster = next(iter(view.all(Cluster)), None)
    if cluster is None:
        raise NotAcceptable(
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
        )
    return cluster


def _shown(cluster: Cluster) -> dict[str, Any]:
    hidden = replace(
        cluster,
        implicit=False,
        root_ca=None,
        root_rotation=None,
        removed_nodes={},
        join_secrets=JoinSecrets(),
        unlock_key=b"",
    )
    raw = shapes.plain(hidden)
    raw["DefaultAddrPool"] = cluster.default_addr_pool
    raw["SubnetSize"] = cluster.subnet_size
    raw["DataPathPort"] = cluster.data_path_port
    raw["RootRotationInProgress"] = cluster.root_rotation is not None
    raw.setdefault("TLSInfo", {})
    raw["Spec"] = shapes.builtins(cluster.spec) | {"Name": cluster.spec.name}
    raw["Spec"].setdefault("Labels", {})
    for name in ("Orchestration", "Raft", "Dispatcher", "EncryptionConfig"):
        field = {"EncryptionConfig": "encryption_config"}.get(name, name.lower())
        raw["Spec"][name] = shapes.builtins(getattr(cluster.spec, field))
    config = cluster.spec.ca_config
    raw["Spec"]["CAConfig"] = {"NodeCertExpiry": config.node_cert_expiry} | shapes.builtins(config)
    raw["Spec"].setdefault("TaskDefaults", {})
    return raw


def locking(cluster: Cluster, vault: Vault, *, anew: bool = False) -> Cluster:
    """`cluster` with the key that its spec asks for: none, the present one, or (`anew`) another one."""
    if not cluster.spec.encryption_config.auto_lock_managers:
        return replace(cluster, unlock_key=b"")
    if cluster.unlock_key and not anew:
        return cluster
    return replace(cluster, unlock_key=vault.seal(cluster.id, make_unlock_key().encode()))


def _initialized(cluster: Cluster, given: InitRequest) -> Cluster:
    return replace(
        cluster,
        implicit=False,
        spec=_spec(given),
        data_path_port=given.data_path_port or cluster.data_path_port,
        default_addr_pool=given.default_addr_pool or cluster.default_addr_pool,
        subnet_size=given.subnet_size or cluster.subnet_size,
    )


def _spec(given: InitRequest) -> ClusterSpec:
    spec = with_defaults(given.spec)
    autolock = given.auto_lock_managers or spec.encryption_config.auto_lock_managers
    return replace(spec, encryption_config=EncryptionConfig(auto_lock_managers=autolock))


def _own_node(view: View, node_id: str, given: InitRequest) -> list[Change]:
    node = view.get(Node, node_id) or manager_node(node_id)
    status = replace(node.manager_status or ManagerStatus(), addr=_manager_address(given.advertise_addr))
    spec = replace(node.spec, availability=given.availability or "active")
    wanted = replace(node, spec=spec, manager_status=status)
    return [] if wanted == node else [Put(wanted)]


def _manager_address(advertised: str) -> str:
    """Where other nodes would find this manager: host and port."""
    host, colon, port = advertised.rpartition(":")
    return f"{host}:{port}" if colon and port.isdecimal() else f"{advertised or '127.0.0.1'}:{PORT}"


def _erased(view: View, node_id: str) -> list[Change]:
    """Everything goes; tasks stay as records until their workers have ended them."""
    tasks = [remove(replace(task, spec=task_spec(view, task))) for task in view.all(Task)]
    networks = [network for network in view.all(Network) if not predefined(network)]
    kinds: tuple[type[Stored], ...] = (Service, Secret, Config, Cluster)
    gone = [Delete(object) for kind in kinds for object in view.all(kind)]  # type: ignore[type-var]
    node = view.get(Node, node_id)
    fresh = [Put(replace(node, spec=NodeSpec(role="manager")))] if node else []
    others = [Delete(other) for other in view.all(Node) if other.id != node_id]
    return [*tasks, *gone, *map(Delete, networks), *fresh, *others]
