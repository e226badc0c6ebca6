"""Flags that hold many values: --X of `create`, --X-add and --X-rm of `update`, from one table.

A value is parsed to items of the spec; an item replaces one of the same key; --X-rm removes what matches its text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from cli.flags.field import Decorator, put, together
from cli.flags.types import Parsed
from cli.parse import service as parsers
from cli.parse.devices import parse_ulimit
from cli.parse.mounts import parse_mount
from cli.parse.pairs import parse_label, parse_pair
from cli.service.scalars import CONTAINER

Item = Any


class Collection(NamedTuple):
    """`parse` gives the items of one text; `key` tells two items apart; `matches(item, text)` is what --X-rm asks."""

    flag: str
    path: str
    parse: Callable[[str], Sequence[Item]]
    key: Callable[[Item], str]
    matches: Callable[[Item, str], bool]
    help: str
    short: str = ""

    @property
    def name(self) -> str:
        return self.flag.replace("-", "_")

    def change(self, spec: dict[str, Any], added: Sequence[Sequence[Item]], removed: Sequence[str] = ()) -> None:
        """Remove, then add, in place."""
        kept = [i for i in get(spec, self.path) or [] if not any(self.matches(i, text) for text in removed)]
        new = {self.key(item): item for items in added for item in items}
        items = [i for i in kept if self.key(i) not in new] + list(new.values())
        if added or removed:
            put(spec, self.path, items)


def get(spec: dict[str, Any], path: str) -> Any:
    """What lies at a dotted path, None where anything on the way is absent."""
    found: Any = spec
    for name in path.split("."):
        found = (found or {}).get(name)
    return found


def _strings(flag: str, path: str, help: str, parse: Callable[[str], str] = str, short: str = "") -> Collection:
    return Collection(flag, path, lambda text: [parse(text)], str, lambda item, text: item == text, help, short)


def _variable_name(item: str) -> str:
    return item.partition("=")[0]


def _port_matches(port: dict[str, Any], text: str) -> bool:
    """ "80", "80/udp", "8080:80" or the long form: the target port decides, the rest only where it is given."""
    if text.partition("/")[0].isdigit():
        target, _, protocol = text.partition("/")
        return bool(port["TargetPort"] == int(target) and port.get("Protocol", "tcp") == (protocol or "tcp"))
    return any(
        port["TargetPort"] == w["TargetPort"] and port.get("Protocol", "tcp") == w["Protocol"]
        for w in parsers.parse_service_ports(text)
    )


def _host_matches(item: str, text: str) -> bool:
    ip, _, name = item.partition(" ")
    wanted, _, address = text.partition(":")
    return name == wanted and (not address or address == ip)


def _resource_kind(item: dict[str, Any]) -> str:
    return str(next(iter(item.values()))["Kind"])


def _reference(flag: str, kind: str) -> Collection:
    """Secrets and configs: the id is filled in later, by service/references.py."""

    def parse(text: str) -> list[Item]:
        found = parsers.parse_file(text)
        return [{f"{kind}Name": found["Name"], "File": found["File"]}]

    return Collection(
        flag,
        f"{CONTAINER}.{kind}s",
        parse,
        lambda item: (item.get("File") or {}).get("Name") or item[f"{kind}Name"],
        lambda item, text: item[f"{kind}Name"] == text,
        f"{kind} to give it: NAME, or source=NAME,target=PATH,mode=0400",
    )


COLLECTIONS = (
    _reference("config", "Config"),
    _strings("constraint", "TaskTemplate.Placement.Constraints", "Nodes that it may run on, as node.labels.zone==a"),
    _strings("dns", f"{CONTAINER}.DNSConfig.Nameservers", "DNS server"),
    _strings("dns-option", f"{CONTAINER}.DNSConfig.Options", "DNS option"),
    _strings("dns-search", f"{CONTAINER}.DNSConfig.Search", "DNS search domain"),
    Collection(
        "env",
        f"{CONTAINER}.Env",
        lambda text: [text],
        _variable_name,
        lambda item, text: _variable_name(item) == text,
        "Environment variable, NAME[=VALUE]",
        "-e",
    ),
    Collection(
        "generic-resource",
        "TaskTemplate.Resources.Reservations.GenericResources",
        lambda text: [parsers.parse_resource(text)],
        _resource_kind,
        lambda item, text: _resource_kind(item) == text,
        "Resource that a node must have free, name=count",
    ),
    _strings("group", f"{CONTAINER}.Groups", "Further group of the user"),
    Collection(
        "host",
        f"{CONTAINER}.Hosts",
        lambda text: [parsers.parse_service_host(text)],
        str,
        _host_matches,
        "Name and address, NAME:ADDRESS",
    ),
    Collection(
        "mount",
        f"{CONTAINER}.Mounts",
        lambda text: [parse_mount(text)],
        lambda item: str(item["Target"]),
        lambda item, text: item["Target"] == text,
        "type=volume,source=data,target=/data",
    ),
    Collection(
        "network",
        "TaskTemplate.Networks",
        lambda text: [parsers.parse_service_network(text)],
        lambda item: str(item["Target"]),
        lambda item, text: item["Target"] == text,
        "Network to connect to: NAME, or name=NAME,alias=A",
    ),
    Collection(
        "placement-pref",
        "TaskTemplate.Placement.Preferences",
        lambda text: [parsers.parse_preference(text)],
        lambda item: str(item["Spread"]["SpreadDescriptor"]),
        lambda item, text: f"spread={item['Spread']['SpreadDescriptor']}" == text,
        "How to spread it, as spread=node.labels.zone",
    ),
    Collection(
        "publish",
        "EndpointSpec.Ports",
        parsers.parse_service_ports,
        lambda p: f"{p['TargetPort']}/{p.get('Protocol', 'tcp')}/{p.get('PublishedPort', 0)}",
        _port_matches,
        "Publish PORT:TARGET, or published=8080,target=80,mode=host",
        "-p",
    ),
    _reference("secret", "Secret"),
    Collection(
        "ulimit",
        f"{CONTAINER}.Ulimits",
        lambda text: [parse_ulimit(text)],
        lambda item: str(item["Name"]),
        lambda item, text: item["Name"] == text,
        "Limit of its processes, name=soft:hard",
    ),
)


class Table(NamedTuple):
    """The same for maps: labels and kernel settings."""

    flag: str
    path: str
    parse: Callable[[str], tuple[str, str]]
    help: str
    short: str = ""

    @property
    def name(self) -> str:
        return self.flag.replace("-", "_")

    def change(self, spec: dict[str, Any], added: Sequence[tuple[str, str]], removed: Sequence[str] = ()) -> None:
        found = {k: v for k, v in (get(spec, self.path) or {}).items() if k not in removed}
        if added or removed:
            put(spec, self.path, None)
            put(spec, self.path, {**found, **dict(added)})


TABLES = (
    Table("container-label", f"{CONTAINER}.Labels", parse_label, "Label of its containers, key=value"),
    Table("label", "Labels", parse_label, "Label, key=value", "-l"),
    Table("sysctl", f"{CONTAINER}.Sysctls", parse_pair, "Kernel setting inside, name=value"),
)


def _create(entry: Collection | Table) -> Decorator:
    names = (entry.short, f"--{entry.flag}") if entry.short else (f"--{entry.flag}",)
    return click.option(*names, entry.name, multiple=True, type=Parsed(entry.flag, entry.parse), help=entry.help)


def _update(entry: Collection | Table) -> Decorator:
    added = Parsed(entry.flag, entry.parse)
    return together(
        click.option(f"--{entry.flag}-add", multiple=True, type=added, help=f"Add or replace: {entry.help}"),
        click.option(f"--{entry.flag}-rm", multiple=True, help=f"Remove what --{entry.flag}-add added"),
    )


create_options: Decorator = together(*(_create(entry) for entry in (*COLLECTIONS, *TABLES)))
update_options: Decorator = together(*(_update(entry) for entry in (*COLLECTIONS, *TABLES)))
