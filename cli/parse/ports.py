"""Published ports: [IP:][HOST[-HOST]:]PORT[-PORT][/PROTOCOL], and the long form target=80,published=8080."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cli.parse.fields import parse_fields

PROTOCOLS = ("tcp", "udp", "sctp")


class Port(NamedTuple):
    """One container port; `host` is a port, a range, or "" for any free one."""

    private: int
    protocol: str = "tcp"
    host: str = ""
    ip: str = ""

    @property
    def key(self) -> str:
        return f"{self.private}/{self.protocol}"


def parse_published(text: str) -> list[Port]:
    """A -p argument, ranges spread out. Raises ValueError."""
    if "=" in text:
        return _long(text)
    ip, host, container = _split(text)
    container, _, protocol = container.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise ValueError(f"invalid port {text!r}: known protocols are {', '.join(PROTOCOLS)}")
    return [Port(private, protocol, public, ip) for private, public in _pairs(container, host, text)]


def bindings(ports: Iterable[Port]) -> dict[str, list[dict[str, str]]]:
    """HostConfig.PortBindings."""
    result: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        result.setdefault(port.key, []).append({"HostIp": port.ip, "HostPort": port.host})
    return result


def parse_exposed(text: str) -> list[str]:
    """ "80-82/udp" → ["80/udp", "81/udp", "82/udp"]."""
    if ":" in text:
        raise ValueError(f"invalid port {text!r} to expose: write PORT[-PORT][/PROTOCOL]; -p publishes it on the host")
    return [port.key for port in parse_published(text)]


def _split(text: str) -> tuple[str, str, str]:
    """(ip, host, container) of the short form; IPv6 addresses stand in brackets."""
    ip = ""
    rest = text
    if text.startswith("["):
        ip, closing, rest = text[1:].partition("]:")
        if not closing:
            raise ValueError(f"invalid port {text!r}: an IPv6 address ends with ']:'")
    parts = rest.split(":")
    if len(parts) == 3 and not ip:
        return parts[0], parts[1], parts[2]
    if len(parts) == 2:
        return ip, parts[0], parts[1]
    if len(parts) == 1 and not ip:
        return "", "", parts[0]
    raise ValueError(f"invalid port {text!r}: write [IP:][HOST:]PORT[/PROTOCOL]")


def _pairs(container: str, host: str, text: str) -> Iterator[tuple[int, str]]:
    first, last = port_range(container, text)
    if not host:
        yield from ((port, "") for port in range(first, last + 1))
        return
    low, high = port_range(host, text)
    if first == last:
        yield first, host
    elif high - low == last - first:
        yield from ((first + n, str(low + n)) for n in range(last - first + 1))
    else:
        raise ValueError(f"invalid port {text!r}: the ranges {host} and {container} are not of one length")


def port_range(text: str, whole: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        low, high = int(first), int(last if dash else first)
    except ValueError:
        raise ValueError(f"invalid port {whole!r}: {text!r} is no port or range of ports") from None
    if not 0 < low <= high <= 65535:
        raise ValueError(f"invalid port {whole!r}: {text!r} is not within 1 to 65535")
    return low, high


def _long(text: str) -> list[Port]:
    fields: dict[str, Any] = dict(parse_fields(text, ("target", "published", "protocol", "mode")))
    if not fields.get("target"):
        raise ValueError(f"invalid port {text!r}: target is required")
    host = fields.get("published") or ""
    return parse_published(f"{host + ':' if host else ''}{fields['target']}/{fields.get('protocol') or 'tcp'}")
