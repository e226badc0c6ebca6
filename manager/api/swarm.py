"""The cluster itself: inspect, init, leave, update, keys, and what `docker info` says of it.

A cluster of one exists from the first start; `init` takes it over once, `leave --force` begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import msgspec
from aiohttp import web

from common.errors import InvalidArgument, NotAcceptable, Unavailable, Unsupported, VersionConflict
from common.model import Cluster, ClusterSpec, Config, Network, Node, NodeSpec, Secret, Service, Task
from common.model.base import Spec
from common.model.node import DispatcherConfig, ManagerStatus, RaftConfig
from manager.api import http, shapes
from manager.api.context import Context
from manager.bootstrap import manager_node, predefined, seed, tokens
from manager.loops.slots import remove
from manager.specs import task_spec
from manager.store.base import Change, Delete, Put, Stored, View

replace = msgspec.structs.replace
PORT = 2377


class InitRequest(Spec, frozen=True, kw_only=True):
    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    data_path_port: int = 0
    default_addr_pool: list[str] = []
    subnet_size: int = 0
    force_new_cluster: bool = False
    auto_lock_managers: bool = False
    availability: str = "active"
    spec: ClusterSpec = ClusterSpec()


class Swarm:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/swarm", self.inspect),
            web.post("/swarm/init", self.init),
            web.post("/swarm/join", self.join),
            web.post("/swarm/leave", self.leave),
            web.post("/swarm/update", self.update),
            web.get("/swarm/unlockkey", self.unlock_key),
            web.post("/swarm/unlock", self.unlock),
            web.get("/shoal/v1/swarm-info", self.info),
        ]

    async def inspect(self, _: web.Request) -> web.Response:
        return http.answer(_shown(_cluster(self._context.view)))

    async def init(self, request: web.Request) -> web.Response:
        given = await http.body(request, InitRequest)
        _check_init(given)

        def build(view: View) -> tuple[Sequence[Change], None]:
            cluster = _cluster(view)
            if not cluster.implicit and not given.force_new_cluster:
                raise Unavailable(
                    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
                )
            return [Put(_initialized(cluster, given)), *_own_node(view, self._context.node_id, given)], None

        await self._context.transact(build)
        return http.answer(self._context.node_id)

    async def join(self, _: web.Request) -> web.Response:
        raise Unsupported("joining another cluster is not supported yet: this node is a cluster of its own")

    async def leave(self, request: web.Request) -> web.Response:
        if not http.flag(request, "force"):
            raise Unavailable(
                "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last "
                "manager erases all current state of the swarm. Use `--force` to ignore this message."
            )
        node_id = self._context.node_id

        def build(view: View) -> tuple[Sequence[Change], None]:
            return _erased(view, node_id), None

        await self._context.transact(build)
        await self._context.transact(lambda view: (seed(view, node_id), None))
        return http.empty()

    async def update(self, request: web.Request) -> web.Response:
        spec = await http.body(request, ClusterSpec)
        seen = http.number(request, "version")
        _check_spec(spec)
        rotated = [role for role in ("Worker", "Manager") if http.flag(request, f"rotate{role}Token")]

        def build(view: View) -> tuple[Sequence[Change], None]:
            cluster = _cluster(view)
            if cluster.version.index != seen:
                raise VersionConflict("update out of sequence", ("swarm", cluster.id))
            fresh, kept = tokens(), cluster.join_tokens
            chosen = replace(
                kept,
                worker=fresh.worker if "Worker" in rotated else kept.worker,
                manager=fresh.manager if "Manager" in rotated else kept.manager,
            )
            return [Put(replace(cluster, spec=spec, join_tokens=chosen))], None

        await self._context.transact(build)
        return http.empty()

    async def unlock_key(self, _: web.Request) -> web.Response:
        return http.answer({"UnlockKey": ""})

    async def unlock(self, _: web.Request) -> web.Response:
        raise Unavailable("swarm is not locked")

    async def info(self, _: web.Request) -> web.Response:
        """The Swarm part of GET /info."""
        view = self._context.view
        cluster = next(iter(view.all(Cluster)), None)
        node = view.get(Node, self._context.node_id)
        if cluster is None or node is None:
            return http.answer({"LocalNodeState": "pending", "NodeID": self._context.node_id})
        address = node.status.addr or "127.0.0.1"
        shown = _shown(cluster)
        shown.pop("JoinTokens", None)
        managers = [n for n in view.all(Node) if n.spec.role == "manager"]
        return http.answer(
            {
                "NodeID": node.id,
                "NodeAddr": address,
                "LocalNodeState": "active",
                "ControlAvailable": True,
                "Error": "",
                "RemoteManagers": [
                    {"NodeID": n.id, "Addr": f"{n.status.addr or '127.0.0.1'}:{PORT}"} for n in managers
                ],
                "Nodes": view.count(Node),
                "Managers": len(managers),
                "Cluster": shown,
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
    raw = shapes.plain(replace(cluster, implicit=False))
    raw["DefaultAddrPool"] = cluster.default_addr_pool
    raw["SubnetSize"] = cluster.subnet_size
    raw["DataPathPort"] = cluster.data_path_port
    raw["RootRotationInProgress"] = cluster.root_rotation_in_progress
    raw.setdefault("TLSInfo", {})
    raw["Spec"] = shapes.builtins(cluster.spec) | {"Name": cluster.spec.name}
    raw["Spec"].setdefault("Labels", {})
    for name in ("Orchestration", "Raft", "Dispatcher", "EncryptionConfig"):
        field = {"EncryptionConfig": "encryption_config"}.get(name, name.lower())
        raw["Spec"][name] = shapes.builtins(getattr(cluster.spec, field))
    raw["Spec"]["CAConfig"] = {"NodeCertExpiry": cluster.spec.ca_config.node_cert_expiry}
    raw["Spec"].setdefault("TaskDefaults", {})
    return raw


def _initialized(cluster: Cluster, given: InitRequest) -> Cluster:
    return replace(
        cluster,
        implicit=False,
        spec=_with_defaults(given.spec),
        join_tokens=tokens(),
        data_path_port=given.data_path_port or cluster.data_path_port,
        default_addr_pool=given.default_addr_pool or cluster.default_addr_pool,
        subnet_size=given.subnet_size or cluster.subnet_size,
    )


def _own_node(view: View, node_id: str, given: InitRequest) -> list[Change]:
    node = view.get(Node, node_id) or manager_node(node_id)
    status = replace(node.manager_status or ManagerStatus(), addr=_manager_address(given.advertise_addr))
    spec = replace(node.spec, availability=given.availability or "active")
    wanted = replace(node, spec=spec, manager_status=status)
    return [] if wanted == node else [Put(wanted)]


def _with_defaults(spec: ClusterSpec) -> ClusterSpec:
    """Clients send 0 for what their user did not say."""
    dispatcher, raft, known = spec.dispatcher, spec.raft, RaftConfig()
    return replace(
        spec,
        dispatcher=dispatcher if dispatcher.heartbeat_period else DispatcherConfig(),
        raft=replace(
            raft,
            election_tick=raft.election_tick or known.election_tick,
            heartbeat_tick=raft.heartbeat_tick or known.heartbeat_tick,
            snapshot_interval=raft.snapshot_interval or known.snapshot_interval,
        ),
    )


def _manager_address(advertised: str) -> str:
    """Where other nodes would find this manager: host and port."""
    host, colon, port = advertised.rpartition(":")
    return f"{host}:{port}" if colon and port.isdecimal() else f"{advertised or '127.0.0.1'}:{PORT}"


def _check_init(given: InitRequest) -> None:
    _check_spec(_with_defaults(given.spec))
    if given.auto_lock_managers or given.spec.encryption_config.auto_lock_managers:
        raise Unsupported("locking managers with a key is not supported yet: leave autolock off")
    if given.availability not in ("", "active", "pause", "drain"):
        raise InvalidArgument(f"invalid Availability: {given.availability!r}: use active, pause or drain")
    if given.data_path_port and not 1024 <= given.data_path_port <= 49151:
        raise InvalidArgument(f"invalid data path port {given.data_path_port}: use 1024 to 49151, or 0 for 4789")
    for pool in given.default_addr_pool:
        try:
            network = ip_network(pool)
        except ValueError as error:
            raise InvalidArgument(f"invalid default address pool {pool!r}: {error}") from None
        if not network.prefixlen <= (given.subnet_size or 24) <= 29:
            raise InvalidArgument(f"invalid subnet size {given.subnet_size}: it does not fit pool {pool}")


def _check_spec(spec: ClusterSpec) -> None:
    if spec.name != "default":
        raise InvalidArgument(f"swarm spec must be named {ClusterSpec().name!r}, not {spec.name!r}")
    if spec.ca_config.external_cas:
        raise Unsupported("external certificate authorities are not supported yet")
    if spec.dispatcher.heartbeat_period <= 0:
        raise InvalidArgument("dispatcher: heartbeat period must be greater than zero")
    if spec.encryption_config.auto_lock_managers:
        raise Unsupported("locking managers with a key is not supported yet: leave autolock off")


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
