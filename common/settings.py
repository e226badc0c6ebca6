"""The settings of a node daemon: one definition for flags, the TOML file and environment variables.

Reading them from those three places is shoal/settings.py's work; everyone else receives the finished object.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

DEFAULT_ROOT = "/var/lib/shoal"
DEFAULT_STATE = "/run/shoal"


class Settings(msgspec.Struct, kw_only=True, dict=True, rename="kebab", forbid_unknown_fields=True):
    """All settings with their defaults. Paths are absolute; an empty text means "choose"."""

    root: Path = Path(DEFAULT_ROOT)
    state: Path = Path(DEFAULT_STATE)
    hosts: list[str] = []  # unix:///path and tcp://address:port; empty: unix://<state>/shoal.sock
    group: str = "shoal"  # owner of the UNIX socket beside root, where the group exists
    tls_ca: str = ""  # for tcp:// hosts: CA of the clients, certificate and key of the server
    tls_cert: str = ""
    tls_key: str = ""
    runtime: str = "crun"  # path or name of an OCI runtime
    conmon: str = "conmon"
    cgroup_parent: str = ""
    bridge: str = ""  # name of the default bridge
    address_pools: list[str] = msgspec.field(default_factory=lambda: ["172.16.0.0/12:16", "192.168.0.0/16:20"])
    ipv6_pools: list[str] = msgspec.field(default_factory=lambda: ["fd5a:6f61:6c00::/48:64"])
    dns: list[str] = []
    log_driver: str = "json-file"
    log_opts: dict[str, str] = {}
    log_level: str = "info"
    labels: list[str] = []  # engine labels, key=value
    storage: str = "overlay2"
    store: str = "raft"  # log of the cluster's store: raft, memory, etcd://host:port,…
    store_prefix: str = "/shoal"  # below which this cluster's keys lie in etcd
    store_ca: str = ""  # for etcd over TLS: its CA, and the certificate and key that it knows this node by
    store_cert: str = ""
    store_key: str = ""
    insecure_registries: list[str] = []  # host[:port] or networks
    registry_mirrors: list[str] = []  # https://host of docker.io, or registry=https://host
    registry_certs: Path = Path("/etc/shoal/certs.d")  # HOST:PORT/*.crt, *.cert with *.key
    shutdown_timeout: int = 15  # seconds
    replace_managers_after: int = 30  # seconds

    @cached_property
    def instance(self) -> str:
        """Empty for the daemon with the default root, else 6 hex digits that keep several daemons on one machine apart."""
        return "" if str(self.root) == DEFAULT_ROOT else hashlib.sha256(str(self.root).encode()).hexdigest()[:6]

    @property
    def bridge_name(self) -> str:
        return self.bridge or f"shoal{self.instance or 0}"

    @property
    def nft_table(self) -> str:
        return f"shoal_{self.instance}" if self.instance else "shoal"

    @property
    def cgroup_root(self) -> str:
        """The cgroup below which every container of this daemon lies, with a leading slash."""
        return self.cgroup_parent or ("/shoal-" + self.instance if self.instance else "/shoal")

    @property
    def cluster_pools(self) -> list[str]:
        """What a new cluster's overlay networks are cut from; daemons beside the default one begin with a /20 of their own."""
        if not self.instance:
            return ["10.0.0.0/8"]
        number = int(self.instance[:3], 16) << 4
        return [f"10.{number >> 8}.{number & 255}.0/20", "10.0.0.0/8"]

    @property
    def socket(self) -> Path:
        """The UNIX socket of the Engine API."""
        return next(
            (Path(h.removeprefix("unix://")) for h in self.hosts if h.startswith("unix://")),
            self.state / "shoal.sock",
        )

    @property
    def manager_socket(self) -> Path:
        """The UNIX socket on which the manager child serves cluster endpoints and worker sessions."""
        return self.state / "manager.sock"


def encode(settings: Settings) -> bytes:
    """As JSON, for the manager child and for `shoald --check`."""
    return msgspec.json.encode(settings, enc_hook=str)


def decode(data: bytes) -> Settings:
    return msgspec.json.decode(data, type=Settings, dec_hook=_from_text)


def convert(values: dict[str, Any]) -> Settings:
    """From a map of encoded names to values or their texts. Raises msgspec.ValidationError."""
    return msgspec.convert(values, Settings, strict=False, dec_hook=_from_text)


def _from_text(kind: type, value: Any) -> Any:
    return kind(value)
