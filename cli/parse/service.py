"""Settings that only services have: files of secrets and configs, published ports, hosts, preferences, resources."""

from __future__ import annotations

from typing import Any

from cli.parse.fields import number, parse_fields
from cli.parse.networks import parse_host, parse_network
from cli.parse.ports import PROTOCOLS, parse_published, port_range

MODES = ("ingress", "host")


def parse_file(text: str) -> dict[str, Any]:
    """A secret or config: NAME, or source=NAME,target=PATH,uid=U,gid=G,mode=0400 → {"Name": …, "File": {…}}."""
    if "=" not in text and "," not in text:
        given: dict[str, str | None] = {"source": text}
    else:
        given = dict(parse_fields(text, ("source", "src", "target", "uid", "gid", "mode")))
    source = given.get("source") or given.get("src")
    if not source:
        raise ValueError(f"invalid argument {text!r}: source is required")
    mode = given.get("mode")
    return {
        "Name": source,
        "File": {
            "Name": given.get("target") or source,
            "UID": given.get("uid") or "0",
            "GID": given.get("gid") or "0",
            "Mode": 0o444 if mode is None else number("mode", mode, 8 if mode.startswith("0") else 10),
        },
    }


def parse_service_ports(text: str) -> list[dict[str, Any]]:
    """-p 8080:80[/tcp], or target=80,published=8080,protocol=tcp,mode=host → PortConfigs, one for each published port."""
    if "=" not in text:
        return [port for p in parse_published(text) for port in _short_ports(text, p.key, p.host, p.ip)]
    given = dict(parse_fields(text, ("target", "published", "protocol", "mode")))
    protocol, mode = given.get("protocol") or "tcp", given.get("mode") or "ingress"
    if protocol not in PROTOCOLS or mode not in MODES:
        raise ValueError(
            f"invalid port {text!r}: protocol is one of {', '.join(PROTOCOLS)}, mode of {', '.join(MODES)}"
        )
    published = given.get("published")
    ports = parse_published(f"{published + ':' if published else ''}{given.get('target') or ''}/{protocol}")
    return [port for p in ports for port in _ports(p.key, p.host, mode)]


def _short_ports(text: str, key: str, host: str, ip: str) -> list[dict[str, Any]]:
    if ip:
        raise ValueError(f"invalid port {text!r}: services are published on all addresses, so it names none")
    return _ports(key, host, "ingress")


def _ports(key: str, host: str, mode: str) -> list[dict[str, Any]]:
    target, _, protocol = key.partition("/")
    port: dict[str, Any] = {"Protocol": protocol, "TargetPort": int(target), "PublishMode": mode}
    if not host:
        return [port]
    low, high = port_range(host, host)
    return [{**port, "PublishedPort": number} for number in range(low, high + 1)]


def parse_service_host(text: str) -> str:
    """ "name:ip" → "ip name", as the spec keeps hosts."""
    name, _, ip = parse_host(text).partition(":")
    return f"{ip} {name}"


def parse_preference(text: str) -> dict[str, Any]:
    strategy, _, descriptor = text.partition("=")
    if strategy != "spread" or not descriptor:
        raise ValueError(f"invalid placement preference {text!r}: write spread=node.labels.NAME")
    return {"Spread": {"SpreadDescriptor": descriptor}}


def parse_service_network(text: str) -> dict[str, Any]:
    """A network by its name in Target; addresses cannot be chosen for a service."""
    name, settings = parse_network(text)
    unfit = settings.keys() - {"Aliases", "DriverOpts"}
    if unfit:
        raise ValueError(f"invalid network {text!r}: a service chooses only alias and driver-opt")
    return {"Target": name, **settings}


def parse_resource(text: str) -> dict[str, Any]:
    """ "gpu=2" is a count, "gpu=UUID1" one that is named."""
    kind, equals, value = text.partition("=")
    if not kind or not equals or not value:
        raise ValueError(f"invalid generic resource {text!r}: write name=count or name=id")
    if value.isdigit():
        return {"DiscreteResourceSpec": {"Kind": kind, "Value": int(value)}}
    return {"NamedResourceSpec": {"Kind": kind, "Value": value}}
