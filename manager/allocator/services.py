"""What a service's endpoint needs: a virtual IP on each of its networks, and a number for each published port."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from common.errors import Conflict
from common.model import Endpoint, EndpointSpec, Network, PortConfig, Service, VirtualIP
from manager.allocator.addresses import Addresses
from manager.store.base import View

DYNAMIC_PORTS = range(30000, 32768)
_Identity = tuple[str, str, int, str]  # name, protocol, target, mode


class Networks:
    """The networks of one view with their addresses, each read once and only where needed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: dict[str, Addresses] = {}

    def addresses(self, id: str) -> Addresses | None:
        """None where the network is gone or has no subnet yet."""
        if id not in self._known:
            network = self._view.get(Network, id)
            if network is None or not network.ipam.config:
                return None
            self._known[id] = Addresses(self._view, network)
        return self._known[id]

    def take(self, id: str) -> list[str]:
        """Free addresses on the network. Raises Conflict, its text fit for a user, where there are none."""
        addresses = self.addresses(id)
        if addresses is None:
            raise Conflict(f"network {id} has no subnet yet", ("network", id))
        taken = addresses.take()
        if taken is None:
            name = addresses.network.spec.name
            raise Conflict(
                f"no address is free on network {name}: remove tasks or use a larger subnet", ("network", id)
            )
        return taken


def ingress(view: View) -> Network | None:
    return next((network for network in view.find(Network, "name", "ingress") if network.spec.ingress), None)


def networks_of(view: View, service: Service) -> list[Network]:
    """The overlay networks that the service's tasks are on: its own, and ingress where ports are published there."""
    targets = [view.get(Network, attachment.target) for attachment in service.spec.task_template.networks]
    if any(port.publish_mode == "ingress" for port in _spec(service).ports):
        targets.insert(0, ingress(view))
    return [network for network in targets if network is not None and network.spec.driver == "overlay"]


def endpoint(view: View, service: Service, networks: Networks) -> Endpoint:
    """The endpoint as it should be; what is allocated already stays. Raises Conflict where something is exhausted."""
    spec = _spec(service)
    old = {vip.network_id: vip for vip in service.endpoint.virtual_ips}
    vips = [
        old.get(network.id) or VirtualIP(network_id=network.id, addr=networks.take(network.id)[0])
        for network in (networks_of(view, service) if spec.mode != "dnsrr" else ())
    ]
    return Endpoint(spec=spec, ports=_ports(view, service, spec), virtual_ips=vips)


def complete(view: View, service: Service) -> bool:
    """Whether nothing is left to allocate for the service's endpoint."""
    has = {vip.network_id for vip in service.endpoint.virtual_ips}
    wanted = {network.id for network in networks_of(view, service)} if _spec(service).mode != "dnsrr" else set()
    return service.endpoint.spec == _spec(service) and has == wanted


def published(view: View, but: str) -> Iterable[tuple[Service, PortConfig]]:
    """The published ports of all services other than `but`."""
    for service in view.all(Service):
        if service.id != but:
            ports = service.endpoint.ports or _spec(service).ports
            yield from ((service, port) for port in ports if port.published_port)


def _ports(view: View, service: Service, spec: EndpointSpec) -> list[PortConfig]:
    """The ports with their numbers: those that are given, those that were chosen before, then free ones."""
    if all(port.published_port or port.publish_mode != "ingress" for port in spec.ports):
        return spec.ports
    taken = {(p.protocol, p.published_port) for _, p in published(view, service.id) if p.publish_mode == "ingress"}
    taken |= {(port.protocol, port.published_port) for port in spec.ports}
    before = {
        _identity(p): p.published_port for p in service.endpoint.ports if (p.protocol, p.published_port) not in taken
    }
    numbers = {_identity(port): before[_identity(port)] for port in spec.ports if _identity(port) in before}
    taken |= {(identity[1], number) for identity, number in numbers.items()}
    return [_numbered(port, numbers, taken) for port in spec.ports]


def _numbered(port: PortConfig, numbers: dict[_Identity, int], taken: set[tuple[str, int]]) -> PortConfig:
    if port.published_port or port.publish_mode != "ingress":
        return port
    number = numbers.pop(_identity(port), 0) or _free_port(taken, port.protocol)
    taken.add((port.protocol, number))
    return replace(port, published_port=number)


def _free_port(taken: set[tuple[str, int]], protocol: str) -> int:
    number = next((port for port in DYNAMIC_PORTS if (protocol, port) not in taken), 0)
    if not number:
        raise Conflict(f"all {protocol} ports from {DYNAMIC_PORTS[0]} to {DYNAMIC_PORTS[-1]} are published: name one")
    return number


def _identity(port: PortConfig) -> _Identity:
    return port.name, port.protocol, port.target_port, port.publish_mode


def _spec(service: Service) -> EndpointSpec:
    return service.spec.endpoint_spec or EndpointSpec()
