"""Where this node listens and how others reach it: what `--listen-addr` and `--advertise-addr` mean on this machine."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

import msgspec

from common.errors import InvalidArgument, Unavailable

PORT = 2377
Interfaces = Mapping[str, Sequence[object]]  # name → addresses


class Place(msgspec.Struct, frozen=True):
    """HOST:PORT to listen on, HOST:PORT by which others reach this node, and the address of the containers' traffic."""

    listen: str
    advertise: str
    data_path: str


def place(listen: str, advertise: str, data_path: str, interfaces: Interfaces) -> Place:
    """What a user's wishes mean here; empty ones mean "choose". Raises InvalidArgument."""
    listening = listen_address(listen, interfaces)
    return Place(
        listen=listening,
        advertise=advertise_address(advertise, listening, interfaces),
        data_path=host_address(data_path, interfaces, "--data-path-addr"),
    )


def towards(host: str, port: int) -> str:
    """The address of this machine from which it would reach `host`. Raises Unavailable. Blocks: look-ups."""
    try:
        family, kind, protocol, _, remote = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(remote)
            return joined(probe.getsockname()[0], PORT)
    except OSError as error:
        raise Unavailable(f"manager {joined(host, port)} cannot be reached: {error.strerror or error}") from None


def split(text: str, port: int = PORT) -> tuple[str, int]:
    """HOST, HOST:PORT, [IPv6]:PORT → (host, port). Raises InvalidArgument."""
    host, number = text, str(port)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        number = rest.removeprefix(":") or number
    elif text.count(":") == 1:
        host, _, number = text.partition(":")
    if not host or not number.isdecimal() or not 0 < int(number) < 65536:
        raise InvalidArgument(f"invalid address {text!r}: write ADDRESS or ADDRESS:PORT")
    return host, int(number)


def joined(host: str, port: int) -> str:
    """(host, port) → HOST:PORT, with brackets where it is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen_address(wish: str, interfaces: Interfaces) -> str:
    """HOST:PORT to listen on. Raises InvalidArgument."""
    host, port = split(wish or f"0.0.0.0:{PORT}")
    return joined(_of_interface(host, interfaces) or _numeric(host, "--listen-addr"), port)


def advertise_address(wish: str, listen: str, interfaces: Interfaces) -> str:
    """HOST:PORT by which others reach this node. Raises InvalidArgument where it has to be told."""
    listen_host, listen_port = split(listen)
    if wish:
        host, port = split(wish, listen_port)
        return joined(_of_interface(host, interfaces) or host, port)
    if not ip_address(listen_host).is_unspecified:
        return listen
    return joined(_only_one(interfaces), listen_port)


def host_address(wish: str, interfaces: Interfaces, option: str) -> str:
    """An address or an interface's name → an address; "" stays "". Raises InvalidArgument."""
    return wish and (_of_interface(wish, interfaces) or _numeric(wish, option))


def _of_interface(name: str, interfaces: Interfaces) -> str:
    listed = interfaces.get(name)
    return str(listed[0]) if listed else ""


def _numeric(host: str, option: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        raise InvalidArgument(f"{option}: {host!r} is neither an IP address nor an interface of this machine") from None


def _only_one(interfaces: Interfaces) -> str:
    found = [(str(address), name) for name, listed in interfaces.items() for address in listed]
    preferred = [pair for pair in found if ":" not in pair[0]] or found
    if len(preferred) == 1:
        return preferred[0][0]
    if not preferred:
        raise InvalidArgument(
            "could not find the system's IP address - specify one with --advertise-addr, by which the other nodes reach this one"
        )
    listed = " and ".join(f"{address} on {name}" for address, name in preferred)
    raise InvalidArgument(
        "could not choose an IP address to advertise since this system has multiple addresses on different "
        f"interfaces ({listed}) - specify one with --advertise-addr"
    )
