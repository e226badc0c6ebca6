"""Networks, secrets and configs of a stack: what to create before its services."""

from __future__ import annotations

import base64
import os
from typing import Any

from cli.compose.load import check_keys
from cli.compose.names import Names
from cli.compose.values import labels
from cli.errors import CliError

Request = dict[str, Any]
_NETWORK = ("external", "name", "driver", "driver_opts", "attachable", "internal", "ipam", "labels", "enable_ipv6")
_FILE = ("external", "name", "file", "environment", "content", "labels", "template_driver")


def networks(names: Names) -> list[Request]:
    """POST /networks/create for each network that a service uses and that is the stack's own."""
    used = set()
    for service in names.compose["services"].values():
        used |= set(service.get("networks") or ["default"])
    entries = names.compose["networks"]
    return [
        _network(name, entries.get(name, {}), names)
        for name in sorted(used)
        if not entries.get(name, {}).get("external")
    ]


def external_networks(names: Names) -> list[str]:
    """Names of the networks that must be there already."""
    entries = names.compose["networks"]
    return [names.of("networks", name, "networks") for name, entry in entries.items() if entry.get("external")]


def _network(name: str, entry: dict[str, Any], names: Names) -> Request:
    where = f"networks.{name}"
    given = check_keys(entry, _NETWORK, where)
    request: Request = {
        "Name": names.of("networks", name, where),
        "Driver": given.get("driver") or "overlay",
        "Labels": {**labels(given.get("labels"), f"{where}.labels"), **names.labels},
    }
    for key, field in (("attachable", "Attachable"), ("internal", "Internal"), ("enable_ipv6", "EnableIPv6")):
        if given.get(key):
            request[field] = True
    if given.get("driver_opts"):
        request["Options"] = {key: str(value) for key, value in given["driver_opts"].items()}
    if given.get("ipam"):
        request["IPAM"] = _ipam(given["ipam"], f"{where}.ipam")
    return request


def _ipam(value: Any, where: str) -> Request:
    given = check_keys(value, ("driver", "config"), where)
    keys = {"subnet": "Subnet", "gateway": "Gateway", "ip_range": "IPRange"}
    config = [check_keys(pool, tuple(keys), f"{where}.config") for pool in given.get("config") or []]
    return {
        "Driver": given.get("driver", "default"),
        "Config": [{keys[key]: str(text) for key, text in pool.items()} for pool in config],
    }


def files(section: str, names: Names) -> list[Request]:
    """POST /secrets/create or /configs/create for each of the stack's own, with its content."""
    entries = names.compose[section]
    return [_file(section, name, entry, names) for name, entry in entries.items() if not entry.get("external")]


def _file(section: str, name: str, entry: dict[str, Any], names: Names) -> Request:
    where = f"{section}.{name}"
    given = check_keys(entry, _FILE, where)
    request: Request = {
        "Name": names.of(section, name, where),
        "Labels": {**labels(given.get("labels"), f"{where}.labels"), **names.labels},
        "Data": base64.b64encode(_content(given, names.compose.folder, where)).decode(),
    }
    if given.get("template_driver"):
        request["Templating"] = {"Name": given["template_driver"]}
    return request


def _content(given: dict[str, Any], folder: str, where: str) -> bytes:
    if "content" in given:
        return str(given["content"]).encode()
    if "environment" in given:
        if given["environment"] not in os.environ:
            raise CliError(f"{where}: the environment variable {given['environment']} is not set")
        return os.environ[given["environment"]].encode()
    if "file" not in given:
        raise CliError(f"{where}: file, environment, content or external is required")
    try:
        with open(os.path.join(folder, str(given["file"])), "rb") as file:
            return file.read()
    except OSError as error:
        raise CliError(f"{where}: cannot read {given['file']}: {error.strerror or error}") from None
