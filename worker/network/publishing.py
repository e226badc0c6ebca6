"""Publishing a container's ports: holding them on the host (ports.py) and forwarding them (firewall.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, ip_address

import msgspec

from common.errors import InvalidArgument
from common.model.container import PortBinding
from worker.network.base import PortMapping
from worker.network.firewall import Firewall, Publication
from worker.network.ports import ANY, HostPorts, check_mapping

Targets = Mapping[int, str]  # IP version → the container's address that ports lead to


class Publisher:
    """`take` before a sandbox is recorded, `show` once it stands; `hide` and `give` on the way back."""

    def __init__(self, firewall: Firewall, ports: HostPorts) -> None:
        self._firewall = firewall
        self._ports = ports
        self._shown: set[Publication] = set()

    def take(self, wanted: Iterable[PortMapping], host_binding: str) -> tuple[PortMapping, ...]:
        """Hold the host's ports, all or none; `host_binding` is the address for mappings that name none."""
        taken: list[PortMapping] = []
        try:
            for mapping in wanted:
                check_mapping(mapping)
                where = msgspec.structs.replace(mapping, host_ip=_host_ip(mapping.host_ip or host_binding))
                port = self._ports.take(where.protocol, _addresses(where), where.host_port, where.last_host_port)
                taken.append(msgspec.structs.replace(where, host_port=port, last_host_port=0))
        except BaseException:
            self.give(taken)
            raise
        return tuple(taken)

    def take_again(self, ports: Iterable[PortMapping]) -> None:
        """Hold what a sandbox from before a restart has."""
        for port in ports:
            self._ports.hold_again(port.protocol, _addresses(port), port.host_port)

    def give(self, ports: Iterable[PortMapping]) -> None:
        for port in ports:
            self._ports.give(port.protocol, _addresses(port), port.host_port)

    def restore(self, shown: Iterable[Publication]) -> None:
        """The firewall was rebuilt with these."""
        self._shown = set(shown)

    def move(self, ports: Sequence[PortMapping], before: Targets, after: Targets) -> None:
        """Let the ports lead to `after` instead of `before`; an empty mapping is nowhere. Idempotent."""
        old = set(publications(ports, before)) & self._shown
        new = set(publications(ports, after))
        self._firewall.replace(old - new, new - old)
        self._shown = (self._shown - old) | new


def publications(ports: Iterable[PortMapping], targets: Targets) -> list[Publication]:
    """What the firewall forwards: each mapping to the target of its address's IP version, or of both."""
    return [
        Publication(
            port.protocol, _specific(port.host_ip), port.host_port, targets[version], port.container_port, version
        )
        for port in ports
        for version in _versions(port.host_ip)
        if version in targets
    ]


def bindings(ports: Iterable[PortMapping], targets: Targets) -> dict[str, list[PortBinding] | None]:
    """NetworkSettings.Ports: only what really leads somewhere."""
    found: dict[str, list[PortBinding] | None] = {}
    for port in ports:
        shown = found.setdefault(f"{port.container_port}/{port.protocol}", []) or []
        for version in _versions(port.host_ip):
            if version in targets:
                shown.append(PortBinding(host_ip=port.host_ip or ANY[version], host_port=str(port.host_port)))
        found[f"{port.container_port}/{port.protocol}"] = shown
    return {key: shown or None for key, shown in found.items()}


def _host_ip(text: str) -> str:
    """An address in canonical spelling, "" for any."""
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise InvalidArgument(f"invalid host address {text!r} of a published port: an IP address is needed") from None


def _versions(host_ip: str) -> tuple[int, ...]:
    return (ip_address(host_ip).version,) if host_ip else (4, 6)


def _addresses(port: PortMapping) -> list[str]:
    return [port.host_ip] if port.host_ip else list(ANY.values())


def _specific(host_ip: str) -> str:
    """ "" for the wildcard addresses, which the firewall knows as any."""
    return "" if not host_ip or ip_address(host_ip) in (IPv4Address(0), ip_address("::")) else host_ip
