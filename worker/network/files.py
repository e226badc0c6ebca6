"""The three files that a container sees in /etc: resolv.conf, hosts, hostname. Texts are pure; writing is in place.

A running container has these files mounted, so they are rewritten and never replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

import msgspec

from common.errors import InvalidArgument

EMBEDDED = "127.0.0.11"
HOST_GATEWAY = "host-gateway"
_RESOLVED = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


class Resolver(msgspec.Struct, frozen=True):
    """The parts of a resolv.conf."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> Resolver:
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options += words[1:]
    return Resolver(tuple(servers), search, tuple(options))


def host_resolver() -> Resolver:
    """The host's resolv.conf, or what systemd-resolved forwards to where that names only its stub."""
    stub, behind = (parse_resolv_conf(_read(path)) for path in _RESOLVED)
    return behind if stub.servers == ("127.0.0.53",) and behind.servers else stub


def is_loopback(server: str) -> bool:
    try:
        return ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


def resolv_conf(resolver: Resolver) -> str:
    lines = [f"nameserver {server}" for server in resolver.servers]
    if resolver.search:
        lines.append("search " + " ".join(resolver.search))
    if resolver.options:
        lines.append("options " + " ".join(resolver.options))
    return "\n".join(lines) + "\n"


def merged(host: Resolver, *, dns: Sequence[str], search: Sequence[str], options: Sequence[str]) -> Resolver:
    """The host's resolver with what the container asked for instead; a search domain "." asks for none."""
    return Resolver(
        tuple(dns) or host.servers,
        tuple(domain for domain in search if domain != ".") if search else host.search,
        tuple(options) or host.options,
    )


def plain(resolver: Resolver) -> Resolver:
    """For a container without embedded DNS: the host's loopback resolvers would be its own loopback, so without them."""
    servers = tuple(server for server in resolver.servers if not is_loopback(server))
    return Resolver(servers, resolver.search, resolver.options)


def embedded(resolver: Resolver) -> Resolver:
    """For a container with embedded DNS, which forwards to `resolver.servers`."""
    options = resolver.options
    if not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")
    return Resolver((EMBEDDED,), resolver.search, options)


def check_servers(servers: Iterable[str]) -> None:
    for server in servers:
        try:
            ip_address(server.partition("%")[0])
        except ValueError:
            raise InvalidArgument(f"{server!r} is not an IP address: --dns needs one") from None


def extra_host(text: str) -> tuple[str, str]:
    """ "name:address" or "name=address" → (name, address or host-gateway). Raises InvalidArgument."""
    separator = "=" if "=" in text else ":"
    name, found, address = text.partition(separator)
    address = address.strip("[]")
    try:
        if address != HOST_GATEWAY:
            ip_address(address)
    except ValueError:
        found = ""
    if not found or not name or any(c.isspace() for c in name):
        raise InvalidArgument(f"bad format for add-host: {text!r}: write it as name:address")
    return name, address


def hosts(own: Iterable[tuple[str, Sequence[str]]], extra: Iterable[tuple[str, str]]) -> str:
    """`own`: (address, names) of the container's interfaces; `extra`: (name, address)."""
    lines = [f"{address}\t{name}\n" for name, address in extra]
    lines += [f"{address}\t{' '.join(names)}\n" for address, names in own if names]
    return _HOSTS + "".join(lines)


def write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
    path.chmod(0o644)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
