"""Where settings come from: defaults, then the TOML file, then SHOAL_… environment variables, then flags; the last one wins.

One table serves all three, so `--log-level debug`, `log-level = "debug"` and `SHOAL_LOG_LEVEL=debug` mean the same.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from common.errors import InvalidArgument
from common.settings import Settings, convert
from common.store_address import check_store

DEFAULT_CONFIG = Path("/etc/shoal/shoald.toml")
_SOCKET_PATH = 107  # bytes: unix(7), sun_path without its final zero
_HELP = {
    "root": "folder of all durable state",
    "state": "folder of run-time files: sockets, mounts, namespaces",
    "hosts": "where to listen: unix:///path or tcp://address:port (with the three tls settings); repeatable",
    "group": "group that may use the UNIX socket beside root",
    "tls_ca": "CA certificate that signs the clients' certificates, for tcp:// hosts",
    "tls_cert": "the server's certificate",
    "tls_key": "the server's private key",
    "runtime": "OCI runtime: a name on the PATH or a path",
    "conmon": "the container monitor: a name on the PATH or a path",
    "cgroup_parent": "cgroup below which all containers lie",
    "bridge": "interface name of the default bridge",
    "address_pools": "IPv4 pools that new networks are cut from, BASE/LENGTH:SUBNET-LENGTH; repeatable",
    "ipv6_pools": "the same for IPv6; repeatable",
    "dns": "name servers of containers that name none; repeatable",
    "log_driver": "default log driver of containers: json-file, local or none",
    "log_opts": "default options of the log driver, KEY=VALUE; repeatable",
    "log_level": "debug, info, warning or error",
    "labels": "labels of this engine, KEY=VALUE; repeatable",
    "storage": "storage driver: overlay2",
    "store": "the cluster's store: raft, or etcd://HOST:PORT,HOST:PORT of an etcd cluster; memory for tests",
    "store_prefix": "where the cluster's keys lie in etcd: /shoal/NAME, another one for each cluster",
    "store_ca": "CA certificate of etcd's servers: etcd is spoken to over TLS then",
    "store_cert": "the client certificate that etcd knows this node by",
    "store_key": "its private key",
    "insecure_registries": "registries (host, host:port, network) that may lack TLS or a known certificate; repeatable",
    "registry_mirrors": "mirrors that are asked first: https://HOST for docker.io, or REGISTRY=https://HOST; repeatable",
    "registry_certs": "folder with HOST:PORT/*.crt, CAs of registries, and *.cert with *.key, our certificates for them",
    "shutdown_timeout": "seconds that a clean stop may take",
    "replace_managers_after": "seconds of silence after which a manager that was added since takes a dead one's place",
}


def load(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> tuple[Settings, bool]:
    """(settings, check only) from the command line, the environment and the file. Raises InvalidArgument."""
    flags = vars(_parser().parse_args(argv))
    check = bool(flags.pop("check"))
    environ = os.environ if environ is None else environ
    path = flags.pop("config") or environ.get("SHOAL_CONFIG_FILE")
    values = _from_file(Path(path) if path else DEFAULT_CONFIG, required=path is not None)
    values |= _from_environment(environ)
    values |= {name: value for name, value in flags.items() if value is not None}
    return validate(_build(values)), check


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shoald",
        allow_abbrev=False,
        description="The node daemon of Shoal: the Docker Engine API, containers, and a cluster of one.",
        epilog="Examples:\n  shoald\n  shoald --root /srv/shoal --state /run/shoal2 --hosts unix:///run/shoal2.sock\n  shoald --check",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="validate the settings, print them and exit")
    parser.add_argument(
        "--config", metavar="FILE", help=f"TOML file with settings (default {DEFAULT_CONFIG} where it exists)"
    )
    for field in msgspec.structs.fields(Settings):
        many = {"action": "append"} if _is_list(field) or _is_map(field) else {}
        parser.add_argument(f"--{field.encode_name}", dest=field.name, metavar="VALUE", help=_HELP[field.name], **many)  # type: ignore[arg-type]
    return parser


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists():
        if required:
            raise InvalidArgument(f"the settings file {path} does not exist")
        return {}
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidArgument(f"the settings file {path} cannot be read: {error}") from None
    names = {f.encode_name: f.name for f in msgspec.structs.fields(Settings)}
    for key in raw:
        if key not in names:
            raise InvalidArgument(f"unknown setting {key!r} in {path}: known are {', '.join(names)}")
    return {names[key]: value for key, value in raw.items()}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """SHOAL_LABELS=a=1,b=2: lists and maps are separated by commas."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        text = environ.get(f"SHOAL_{field.name.upper()}")
        if text is not None:
            values[field.name] = text.split(",") if _is_list(field) or _is_map(field) else text
    return values


def _build(values: dict[str, Any]) -> Settings:
    fields = {f.name: f for f in msgspec.structs.fields(Settings)}
    ready = {}
    for name, value in values.items():
        if _is_map(fields[name]) and isinstance(value, list):
            value = dict(_pair(name, item) for item in value)
        ready[fields[name].encode_name] = str(Path(value).absolute()) if fields[name].type is Path else value
    try:
        return convert(ready)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid setting: {error}") from None


def _is_list(field: msgspec.structs.FieldInfo) -> bool:
    return str(field.type).startswith("list")


def _is_map(field: msgspec.structs.FieldInfo) -> bool:
    return str(field.type).startswith("dict")


def _pair(name: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidArgument(f"invalid value {text!r} of setting {name}: it looks like KEY=VALUE")
    return key, value


def validate(settings: Settings) -> Settings:
    """Return the settings when a daemon can start with them. Raises InvalidArgument with what is wrong and what to do."""
    for host in settings.hosts:
        _check_host(host, settings)
    for path in (settings.socket, settings.manager_socket):
        _check_socket(path)
    for name in ("runtime", "conmon"):
        program = getattr(settings, name)
        if shutil.which(program) is None:
            raise InvalidArgument(f"{name} {program!r} is not on this machine: install it or name another by --{name}")
    _check_choice("log-driver", settings.log_driver, ("json-file", "local", "none"))
    _check_choice("log-level", settings.log_level, ("debug", "info", "warning", "error"))
    _check_choice("storage", settings.storage, ("overlay2",))
    _check_store(settings)
    for pool in [*settings.address_pools, *settings.ipv6_pools]:
        _check_pool(pool)
    for server in settings.dns:
        _check_address(server)
    for label in settings.labels:
        _pair("labels", label)
    if len(settings.bridge) > 15:
        raise InvalidArgument(f"bridge name {settings.bridge!r} is longer than the kernel's 15 characters")
    return settings


def _check_socket(path: Path) -> None:
    if len(os.fsencode(path)) > _SOCKET_PATH:
        raise InvalidArgument(
            f"the socket {path} would have a path of more than {_SOCKET_PATH} bytes, which the kernel does not take: "
            "choose a shorter --state or --hosts"
        )


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InvalidArgument(f"invalid {name} {value!r}: known are {', '.join(known)}")


def _check_store(settings: Settings) -> None:
    check_store(settings.store, settings.store_prefix)
    given = [name for name in ("store_ca", "store_cert", "store_key") if getattr(settings, name)]
    if bool(settings.store_cert) != bool(settings.store_key):
        raise InvalidArgument(
            "a certificate for etcd needs its private key: give --store-cert and --store-key together"
        )
    if settings.store_cert and not settings.store_ca:
        raise InvalidArgument("a certificate for etcd is of use over TLS only: give --store-ca too")
    for name in given:
        if not Path(getattr(settings, name)).is_file():
            raise InvalidArgument(f"{name.replace('_', '-')} {getattr(settings, name)!r} is not a file")


def _check_host(host: str, settings: Settings) -> None:
    if host.startswith("unix:///"):
        return
    address, colon, port = host.removeprefix("tcp://").rpartition(":")
    if not host.startswith("tcp://") or not colon or not address or not port.isdecimal():
        raise InvalidArgument(f"invalid host {host!r}: it looks like unix:///run/shoal.sock or tcp://address:port")
    missing = [n for n in ("tls_ca", "tls_cert", "tls_key") if not getattr(settings, n)]
    if missing:
        names = ", ".join("--" + n.replace("_", "-") for n in missing)
        raise InvalidArgument(f"host {host} needs mutual TLS: give {names} too")
    for name in ("tls_ca", "tls_cert", "tls_key"):
        if not Path(getattr(settings, name)).is_file():
            raise InvalidArgument(f"{name.replace('_', '-')} {getattr(settings, name)!r} is not a file")


def _check_pool(text: str) -> None:
    base, _, length = text.rpartition(":")
    try:
        network = ipaddress.ip_network(base)
        valid = network.prefixlen <= int(length) <= network.max_prefixlen
    except ValueError:
        valid = False
    if not valid:
        raise InvalidArgument(f"invalid address pool {text!r}: it looks like 172.16.0.0/12:16")


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArgument(f"invalid name server {text!r}: an IP address is needed") from None
