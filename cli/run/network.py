"""Networks, addresses, names and published ports."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.field import many, put, switch, together
from cli.flags.types import Parsed
from cli.parse.networks import Attachment, address, parse_host, parse_network
from cli.parse.ports import bindings, parse_exposed, parse_published

options = together(
    many("HostConfig.ExtraHosts", "--add-host", type=Parsed("host", parse_host), help="Name and address, NAME:ADDRESS"),
    many("HostConfig.Dns", "--dns", help="DNS server"),
    many("HostConfig.DnsOptions", "--dns-option", "--dns-opt", help="DNS option"),
    many("HostConfig.DnsSearch", "--dns-search", help="DNS search domain"),
    click.option("--expose", multiple=True, type=Parsed("port", parse_exposed), help="Port that it listens on"),
    click.option("--ip", help="IPv4 address"),
    click.option("--ip6", help="IPv6 address"),
    many("HostConfig.Links", "--link", help="Link to another container"),
    click.option("--link-local-ip", multiple=True, help="Link-local address"),
    click.option("--mac-address", help="MAC address"),
    click.option(
        "--network",
        "--net",
        multiple=True,
        type=Parsed("network", parse_network),
        help="Network to connect to: NAME, name=NAME,alias=A,ip=…, host, none, container:NAME",
    ),
    click.option("--network-alias", "--net-alias", multiple=True, help="Further name in the first network"),
    click.option(
        "-p",
        "--publish",
        multiple=True,
        type=Parsed("port", parse_published),
        help="Publish [IP:][HOST:]PORT[/PROTOCOL]",
    ),
    switch("HostConfig.PublishAllPorts", "-P", "--publish-all", help="Publish all exposed ports on free ones"),
)


def fill(params: dict[str, Any], body: dict[str, Any]) -> None:
    _ports(params, body)
    attachments = list(params["network"])
    own = _own_settings(params)
    if own:
        first = attachments.pop(0) if attachments else Attachment("default", {})
        _check_twice(first, own)
        attachments.insert(0, Attachment(first.name, {**first.settings, **own}))
    if attachments:
        put(body, "HostConfig.NetworkMode", attachments[0].name)
    endpoints = {a.name: a.settings for a in attachments} if len(attachments) > 1 else _lone_endpoint(attachments)
    if endpoints:
        put(body, "NetworkingConfig.EndpointsConfig", endpoints)


def _ports(params: dict[str, Any], body: dict[str, Any]) -> None:
    published = [port for ports in params["publish"] for port in ports]
    exposed = [key for keys in params["expose"] for key in keys] + [port.key for port in published]
    if exposed:
        body["ExposedPorts"] = {key: {} for key in exposed}
    if published:
        put(body, "HostConfig.PortBindings", bindings(published))


def _own_settings(params: dict[str, Any]) -> dict[str, Any]:
    """EndpointSettings of the flags that mean the first network."""
    settings: dict[str, Any] = {}
    for name in ("ip", "ip6"):
        if params[name]:
            address(settings, name, params[name])
    for value in params["link_local_ip"]:
        address(settings, "link-local-ip", value)
    if params["network_alias"]:
        settings["Aliases"] = list(params["network_alias"])
    if params["mac_address"]:
        settings["MacAddress"] = params["mac_address"]
    return settings


def _check_twice(first: Attachment, own: dict[str, Any]) -> None:
    twice = sorted(first.settings.keys() & own.keys())
    if twice:
        raise ValueError(f"conflicting options: {', '.join(twice)} of network {first.name} are given twice")


def _lone_endpoint(attachments: list[Attachment]) -> dict[str, Any]:
    return {a.name: a.settings for a in attachments if a.settings}
