"""Exposed and published ports: "80/tcp" keys, host ports and ranges, parsed and checked. Binding them is the network's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from common.errors import InvalidArgument
from common.model.container import ContainerConfig, HostConfig, PortBinding
from worker.network.base import PortMapping

_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_port(text: str) -> tuple[int, str]:
    """ "80", "80/tcp" → (80, "tcp"). Raises InvalidArgument."""
    number, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise InvalidArgument(f"invalid port specification: {text!r}: known protocols are {', '.join(_PROTOCOLS)}")
    return _number(number, text, least=1), protocol


def _number(number: str, text: str, *, least: int) -> int:
    if not (number.isascii() and number.isdecimal()) or not least <= int(number) <= 65_535:
        raise InvalidArgument(f"invalid port specification: {text!r}: a port is a number from {least} to 65535")
    return int(number)


def exposed(config: ContainerConfig) -> list[tuple[int, str]]:
    """All exposed ports; a key may be a range ("8000-8010/tcp"). Raises InvalidArgument."""
    found = []
    for text in config.exposed_ports:
        numbers, _, protocol = text.partition("/")
        first, _, last = numbers.partition("-")
        low, kind = parse_port(f"{first}/{protocol}" if protocol else first)
        high = parse_port(last)[0] if last else low
        if high < low:
            raise InvalidArgument(f"invalid port specification: {text!r}: the range is upside down")
        found += [(number, kind) for number in range(low, high + 1)]
    return found


def mappings(config: ContainerConfig, host: HostConfig) -> tuple[PortMapping, ...]:
    """What to publish. Raises InvalidArgument."""
    found = [
        mapping
        for text, bindings in host.port_bindings.items()
        for binding in bindings or ()
        for mapping in _published(*parse_port(text), binding)
    ]
    if host.publish_all_ports:
        named = {(mapping.container_port, mapping.protocol) for mapping in found}
        found += [
            PortMapping(protocol=protocol, container_port=number)
            for number, protocol in exposed(config)
            if (number, protocol) not in named
        ]
    return tuple(found)


def _published(number: int, protocol: str, binding: PortBinding) -> Iterator[PortMapping]:
    if binding.host_ip:
        try:
            ipaddress.ip_address(binding.host_ip)
        except ValueError:
            raise InvalidArgument(f"invalid host address {binding.host_ip!r} of published port {number}") from None
    first, dash, last = binding.host_port.partition("-")
    low = _number(first, binding.host_port, least=1 if dash else 0) if binding.host_port else 0
    high = _number(last, binding.host_port, least=low) if dash else 0
    yield PortMapping(
        protocol=protocol, container_port=number, host_ip=binding.host_ip, host_port=low, last_host_port=high
    )


def completed(config: ContainerConfig, host: HostConfig) -> dict[str, dict[str, object]]:
    """ExposedPorts in their one spelling, with every published port among them."""
    texts = [f"{number}/{protocol}" for number, protocol in exposed(config)]
    texts += ["{}/{}".format(*parse_port(text)) for text in host.port_bindings]
    return {text: {} for text in dict.fromkeys(texts)}
