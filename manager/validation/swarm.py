"""The cluster's spec and the request that makes a cluster: defaults, and what is wrong with them."""

from __future__ import annotations

from ipaddress import ip_network

from msgspec import field
from msgspec.structs import replace

from common.errors import InvalidArgument, Unsupported
from common.model import SECOND, ClusterSpec
from common.model.base import Spec
from common.model.node import CAConfig, DispatcherConfig, RaftConfig

MIN_EXPIRY = 3600 * SECOND  # of a node's certificate


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
    csr: str = field(default="", name="CSR")  # of the node that sends it on: it gets its certificate as the answer
    spec: ClusterSpec = ClusterSpec()


def with_defaults(spec: ClusterSpec) -> ClusterSpec:
    """Clients send 0 for what their user did not say."""
    ca, dispatcher, raft, known = spec.ca_config, spec.dispatcher, spec.raft, RaftConfig()
    return replace(
        spec,
        ca_config=replace(ca, node_cert_expiry=ca.node_cert_expiry or CAConfig().node_cert_expiry),
        dispatcher=dispatcher if dispatcher.heartbeat_period else DispatcherConfig(),
        raft=replace(
            raft,
            election_tick=raft.election_tick or known.election_tick,
            heartbeat_tick=raft.heartbeat_tick or known.heartbeat_tick,
            snapshot_interval=raft.snapshot_interval or known.snapshot_interval,
        ),
    )


def check_init(given: InitRequest) -> None:
    check_spec(with_defaults(given.spec))
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


def check_spec(spec: ClusterSpec) -> None:
    if spec.name != "default":
        raise InvalidArgument(f"swarm spec must be named {ClusterSpec().name!r}, not {spec.name!r}")
    _check_ca(spec.ca_config)
    if spec.dispatcher.heartbeat_period <= 0:
        raise InvalidArgument("dispatcher: heartbeat period must be greater than zero")


def _check_ca(config: CAConfig) -> None:
    if 0 < config.node_cert_expiry < MIN_EXPIRY or config.node_cert_expiry < 0:
        raise InvalidArgument("invalid CAConfig: minimum certificate expiry time is: 1h0m0s")
    for ca in config.external_cas:
        if ca.protocol != "cfssl":
            raise InvalidArgument(f"invalid external CA: unknown protocol {ca.protocol!r}: use cfssl")
        if not ca.url.startswith("https://"):
            raise InvalidArgument(f"invalid external CA {ca.url!r}: an https:// URL is needed")
        if ca.options:
            raise Unsupported(f"unknown option of external CA {ca.url}: {', '.join(ca.options)}")
