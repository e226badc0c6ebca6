"""Where this node listens and how others reach it: what `--listen-addr` and `--advertise-addr` mean on this machine."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

import msgspec

from common.errors import InvalidArgument, Unavailable

PORT = 2377
CHOSEN = "chosen"  # by the node itself, which follows when its machine has another one
OWN = "own"  # told by the user, and this machine's
FOREIGN = ""  # told by the user: what it belongs to leads here, or it is a name
Interfaces = Mapping[str, Sequence[object]]  # name → addresses


class Place(msgspec.Struct, frozen=True):
    """HOST:PORT to listen on, HOST:PORT by which others reach this node, the address of the containers' traffic, and what kind
    of address others reach this node by."""

    listen: str
    advertise: str
    data_path: str
    kind: str = ""


def place(listen: str, advertise: str, data_path: str, interfaces: Interfaces, *, best: str = "") -> Place:
    """What a user's wishes mean here; empty ones mean "choose". `best`: the host to choose where the choice is free.

    Raises InvalidArgument.
    """
    listening = listen_address(listen, interfaces)
    free = not advertise and _is_unspecified(listening)
    advertised = advertise_address((best if free else "") or advertise, listening, interfaces)
    return Place(
        listen=listening,
        advertise=advertised,
        data_path=host_address(data_path, interfaces, "--data-path-addr"),
        kind=CHOSEN if free else _kind(advertised, interfaces),
    )


def towards(host: str, port: int) -> str:
    """The address of this machine from which it would reach `host`. Raises Unavailable. Blocks: look-ups."""
    try:
        family, kind, protocol, _, remote = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(remote)
            return str(probe.getsockname()[0])
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


def moved(address: str, listen: str) -> str:
    """HOST:PORT with the port of `listen`. Raises InvalidArgument."""
    return joined(split(address)[0], split(listen)[1])


def listen_address(wish: str, interfaces: Interfaces) -> str:
    """HOST:PORT to listen on. Raises InvalidArgument."""
    host, port = split(wish or f"0.0.0.0:{PORT}")
    return joined(_of_interface(host, interfaces) or _numeric(host, "--listen-addr"), port)


def advertise_address(wish: str, listen: str, interfaces: Interfaces) -> str:
    """HOST:PORT by which others reach this node. Raises InvalidArgument where it has to be told."""
    _, listen_port = split(listen)
    if wish:
        host, port = split(wish, listen_port)
        return joined(_of_interface(host, interfaces) or host, port)
    if not _is_unspecified(listen):
        return listen
    return joined(only_one(interfaces), listen_port)


def host_address(wish: str, interfaces: Interfaces, option: str) -> str:
    """An address or an interface's name → an address; "" stays "". Raises InvalidArgument."""
    return wish and (_of_interface(wish, interfaces) or _numeric(wish, option))


def addresses_of(interfaces: Interfaces) -> set[object]:
    """All addresses of the machine."""
    return {address for listed in interfaces.values() for address in listed}


def _kind(advertise: str, interfaces: Interfaces) -> str:
    own = {str(address) for address in addresses_of(interfaces)}
    return OWN if split(advertise)[0] in own else FOREIGN


def _is_unspecified(listen: str) -> bool:
    return ip_address(split(listen)[0]).is_unspecified


def _of_interface(name: str, interfaces: Interfaces) -> str:
    listed = interfaces.get(name)
    return str(listed[0]) if listed else ""


def _numeric(host: str, option: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        raise InvalidArgument(f"{option}: {host!r} is neither an IP address nor an interface of this machine") from None


def only_one(interfaces: Interfaces) -> str:
    """The machine's address where there is no choice. Raises InvalidArgument."""
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
