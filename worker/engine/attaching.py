"""Networks of an existing container: connect and disconnect, at once where it runs, else at its next start."""

from __future__ import annotations

from common.errors import Forbidden, InvalidArgument
from common.model.container import EndpointSettings
from worker.engine.container import Container
from worker.engine.namespaces import joined
from worker.engine.networking import canonical
from worker.engine.parts import Parts
from worker.network.base import Attachment
from worker.network.options import check_endpoint

_SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"


async def connect(parts: Parts, container: Container, network: str, settings: EndpointSettings) -> None:
    """Raises NotFound for the network, Forbidden where the container's network mode excludes it."""
    name = canonical(network, parts.networks)
    async with container.lock:
        _check(container, name, settings)
        if container.active:
            await parts.networks.connect(container.id, Attachment(network=name, settings=settings))
        container.set_record(endpoints={**container.record.endpoints, name: settings})


def _check(container: Container, network: str, settings: EndpointSettings) -> None:
    endpoints = container.record.endpoints
    if joined(container.host.network_mode) or "host" in endpoints:
        raise InvalidArgument(_SHARED, ("container", container.id))
    if network in ("host", "none") or "none" in endpoints:
        raise Forbidden(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode or the host's"
        )
    if network in endpoints:
        raise Forbidden(f"endpoint with name {container.name} already exists in network {network}")
    check_endpoint(settings)


async def disconnect(parts: Parts, container: Container, network: str, *, force: bool = False) -> None:
    """Raises Forbidden where the container is not on the network."""
    name = canonical(network, parts.networks)
    async with container.lock:
        if name not in container.record.endpoints:
            raise Forbidden(f"container {container.id} is not connected to network {name}", ("container", container.id))
        if name == "host":
            raise Forbidden("container cannot be disconnected from host network or connected to host network")
        if container.active:
            await parts.networks.disconnect(container.id, name, force=force)
        left = {other: settings for other, settings in container.record.endpoints.items() if other != name}
        container.set_record(endpoints=left)
