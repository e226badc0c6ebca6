"""Reading a network's specification: which driver options there are, what they mean, and what is refused.

Only bridge networks are made here; overlay networks come from the control plane, checked, and their options are not judged.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address

import msgspec

from common.errors import Forbidden, InvalidArgument, NotAcceptable, NotFound, Unsupported
from common.ids import check_name
from common.model import Network, NetworkSpec
from common.model.container import EndpointSettings

PREDEFINED = {"bridge": "bridge", "host": "host", "none": "null"}  # name → driver
DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"
BRIDGE_NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
MTU = "com.docker.network.driver.mtu"
PREFIX = "com.docker.network.container_iface_prefix"
IFNAME = "com.docker.network.endpoint.ifname"
SYSCTLS = "com.docker.network.endpoint.sysctls"

BRIDGE_MTU, OVERLAY_MTU = 1500, 1450  # the second where no other node shows what fits
ENCRYPTED = "encrypted"
_INTERFACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_MAC = re.compile(r"([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")
_KNOWN = {BRIDGE_NAME, ICC, MASQUERADE, HOST_BINDING, MTU, PREFIX}


class BridgeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a network's options come to. `interface`: the bridge's name on the host."""

    interface: str
    icc: bool = True
    masquerade: bool = True
    host_binding: str = ""
    mtu: int = BRIDGE_MTU
    prefix: str = "eth"


def bridge_options(network: Network) -> BridgeOptions:
    """Raises InvalidArgument, Unsupported."""
    options = network.spec.options
    overlay = network.spec.driver != "bridge"
    if not overlay:
        for name in options:
            if name not in _KNOWN and name != DEFAULT_BRIDGE:
                raise Unsupported(
                    f"network option {name!r} is not supported by the driver 'bridge'", ("network", network.id)
                )
    return BridgeOptions(
        interface=interface_name(options.get(BRIDGE_NAME) or f"br-{network.id[:12]}"),
        icc=_boolean(options, ICC, True),
        masquerade=_boolean(options, MASQUERADE, True),
        host_binding=_ipv4(options, HOST_BINDING),
        mtu=_mtu(options, OVERLAY_MTU if overlay else BRIDGE_MTU),
        prefix=interface_name(options.get(PREFIX) or "eth", longest=12),
    )


def check_spec(spec: NetworkSpec) -> None:
    """Refuse what this node cannot make. Raises InvalidArgument, Forbidden, NotFound, NotAcceptable."""
    check_name("network", spec.name)
    if spec.name in PREDEFINED:
        raise Forbidden(f"operation is not permitted on predefined {spec.name} network", ("network", spec.name))
    if spec.driver in ("host", "null"):
        raise Forbidden(f"only one instance of {spec.driver!r} network is allowed", ("network", spec.name))
    if spec.driver == "overlay" or spec.scope == "swarm":
        raise NotAcceptable("overlay networks are made by the cluster: this node is not a swarm manager")
    if spec.driver not in ("", "bridge"):
        raise NotFound(f"network driver {spec.driver!r} not found: known are bridge, host, none and overlay")
    if spec.scope not in ("", "local"):
        raise InvalidArgument(f"invalid scope {spec.scope!r} for a network of driver 'bridge': use 'local'")
    if spec.config_only or (spec.config_from or {}).get("Network"):
        raise Unsupported("config-only networks are not supported")
    if spec.ingress:
        raise InvalidArgument("an ingress network needs the driver 'overlay'")


def versions(spec: NetworkSpec) -> set[int]:
    """The IP versions of a network. Raises InvalidArgument where none is left."""
    found = {version for version, on in ((4, spec.enable_ipv4 is not False), (6, spec.enable_ipv6 is True)) if on}
    if not found:
        raise InvalidArgument("IPv4 or IPv6 must be enabled", ("network", spec.name))
    return found


def interface_name(name: str, longest: int = 15) -> str:
    if len(name) > longest or not _INTERFACE.fullmatch(name):
        raise InvalidArgument(f"invalid interface name {name!r}: at most {longest} of a-z, A-Z, 0-9, '_', '.', '-'")
    return name


def check_endpoint(settings: EndpointSettings) -> None:
    """Refuse what no network gives. Raises InvalidArgument, Unsupported."""
    if settings.links:
        raise Unsupported("links are not supported: put the containers on one network and use their names")
    if settings.ipam_config and settings.ipam_config.link_local_ips:
        raise Unsupported("link-local addresses are not supported")
    if settings.mac_address and not _MAC.fullmatch(settings.mac_address):
        raise InvalidArgument(f"invalid MAC address {settings.mac_address!r}")
    endpoint_options(settings.driver_opts)


def endpoint_options(options: dict[str, str] | None) -> tuple[str, dict[str, str]]:
    """(interface name or "", sysctls by path below /proc/sys, with IFNAME where the interface's name goes)."""
    name, sysctls = "", {}
    for key, value in (options or {}).items():
        if key == IFNAME:
            name = interface_name(value)
        elif key == SYSCTLS:
            sysctls = dict(_sysctl(part) for part in value.split(",") if part)
        else:
            raise Unsupported(f"endpoint option {key!r} is not supported")
    return name, sysctls


def _sysctl(text: str) -> tuple[str, str]:
    key, equals, value = text.strip().partition("=")
    parts = key.split(".")
    if not equals or len(parts) != 5 or parts[0] != "net" or parts[3] != "IFNAME" or not _plain(parts):
        raise InvalidArgument(f"invalid endpoint sysctl {text!r}: write it as net.ipv4.conf.IFNAME.log_martians=1")
    return "/".join(parts), value


def _plain(parts: list[str]) -> bool:
    return all(re.fullmatch(r"[a-zA-Z0-9_]+", part) for part in parts)


def _boolean(options: dict[str, str], name: str, default: bool) -> bool:
    text = options.get(name, "")
    if not text:
        return default
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise InvalidArgument(f"invalid value {text!r} of network option {name!r}: use true or false")


def _mtu(options: dict[str, str], default: int) -> int:
    text = options.get(MTU, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not (value := int(text)) or not 68 <= value <= 65535:
        raise InvalidArgument(f"invalid value {text!r} of network option {MTU!r}: a number from 68 to 65535 is needed")
    return value


def _ipv4(options: dict[str, str], name: str) -> str:
    """An address, "" for any."""
    text = options.get(name, "")
    try:
        address = IPv4Address(text or "0.0.0.0")
    except ValueError:
        raise InvalidArgument(f"invalid value {text!r} of network option {name!r}: an IPv4 address is needed") from None
    return "" if address.is_unspecified else str(address)
