"""--network NAME, or name=NAME,alias=A,ip=…; and what the API calls an endpoint's settings."""

from __future__ import annotations

from typing import Any, NamedTuple

from cli.parse.fields import number, parse_fields
from cli.parse.pairs import parse_pair

_FIELDS = ("name", "alias", "ip", "ip6", "mac-address", "link-local-ip", "driver-opt", "gw-priority")


class Attachment(NamedTuple):
    """A network by name, and EndpointSettings where there are any."""

    name: str
    settings: dict[str, Any]


def parse_network(text: str) -> Attachment:
    if "=" not in text:
        if not text:
            raise ValueError("invalid network: the name is empty")
        return Attachment(text, {})
    name, settings = "", {}  # type: str, dict[str, Any]
    for field, given in parse_fields(text, _FIELDS):
        value = given or ""
        if not value:
            raise ValueError(f"invalid network {text!r}: {field} needs a value")
        if field == "name":
            name = value
        else:
            _set(settings, field, value)
    if not name:
        raise ValueError(f"invalid network {text!r}: name is required")
    return Attachment(name, settings)


def _set(settings: dict[str, Any], field: str, value: str) -> None:
    if field == "alias":
        settings.setdefault("Aliases", []).append(value)
    elif field == "driver-opt":
        settings.setdefault("DriverOpts", {}).update([parse_pair(value)])
    elif field == "gw-priority":
        settings["GwPriority"] = number(field, value)
    elif field == "mac-address":
        settings["MacAddress"] = value
    else:
        address(settings, field, value)


def address(settings: dict[str, Any], field: str, value: str) -> None:
    """Set "ip", "ip6" or "link-local-ip" of an endpoint."""
    config = settings.setdefault("IPAMConfig", {})
    if field == "link-local-ip":
        config.setdefault("LinkLocalIPs", []).append(value)
    else:
        config["IPv4Address" if field == "ip" else "IPv6Address"] = value


def parse_host(text: str) -> str:
    """--add-host "name:ip" or "name=ip" → "name:ip"; an IPv6 address may stand in brackets."""
    positions = [text.index(mark) for mark in "=:" if mark in text]
    if not positions:
        raise ValueError(f"invalid host {text!r}: write NAME:ADDRESS")
    at = min(positions)
    name, ip = text[:at], text[at + 1 :].removeprefix("[").removesuffix("]")
    if not name or not ip:
        raise ValueError(f"invalid host {text!r}: write NAME:ADDRESS")
    if ip != "host-gateway":
        import ipaddress

        try:
            ipaddress.ip_address(ip)
        except ValueError:
            raise ValueError(f"invalid host {text!r}: {ip!r} is no IP address") from None
    return f"{name}:{ip}"
