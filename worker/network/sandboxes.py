"""Sandboxes: the life of each container's network namespace, from the wish to the last trace.

The order is always: record on disk, then kernel; and back: kernel, then record. Names in DNS are the resolver's
(dns_server.py), networks the catalog's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address, ip_interface
from shutil import rmtree

import msgspec
import structlog

from common.errors import Forbidden, InvalidArgument, NotFound, ShoalError
from common.model.container import EndpointSettings
from worker.network import conntrack, namespaces, plumbing, rtnl
from worker.network.base import Attachment, Sandbox, SandboxSpec
from worker.network.bridges import Bridges
from worker.network.catalog import Catalog
from worker.network.dns_sockets import DnsSockets
from worker.network.etc import EtcFiles
from worker.network.firewall import Publication
from worker.network.live import LiveNetwork
from worker.network.namespaces import NamespaceThreads
from worker.network.netlink import Socket
from worker.network.plumbing import Route, Wire
from worker.network.publishing import Publisher, Targets, bindings, publications
from worker.network.records import Endpoint, Records, SandboxRecord
from worker.network.resolving import Resolving

log = structlog.get_logger()


class Sandboxes:
    """All sandboxes of one node. Calls about one container must not overlap; calls about different ones may."""

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        bridges: Bridges,
        publisher: Publisher,
        threads: NamespaceThreads,
        etc: EtcFiles,
        resolving: Resolving,
    ) -> None:
        self._records = records
        self._catalog = catalog
        self._bridges = bridges
        self._publisher = publisher
        self._threads = threads
        self._etc = etc
        self._resolving = resolving
        self._open: dict[str, SandboxRecord] = {}

    def load(self) -> None:
        """Take over what is on disk: addresses and ports are in use before anything new is given out."""
        for record in self._records.sandboxes():
            if not all(self._catalog.get(endpoint.network_id) for endpoint in record.endpoints):
                self._records.remove_sandbox(record.id)  # of another root folder; recovery clears the rest
                continue
            self._open[record.id] = record
            for endpoint in record.endpoints:
                if network := self._catalog.get(endpoint.network_id):
                    network.restore(record.spec, endpoint)
            self._publisher.take_again(record.ports)

    def all(self) -> list[SandboxRecord]:
        return list(self._open.values())

    def record(self, container_id: str) -> SandboxRecord:
        """Raises NotFound."""
        record = self._open.get(container_id)
        if record is None:
            raise NotFound(f"container {container_id[:12]} has no open sandbox", ("container", container_id))
        return record

    def describe(self, container_id: str) -> Sandbox | None:
        record = self._open.get(container_id)
        return self._describe(record) if record else None

    async def open(self, spec: SandboxSpec) -> Sandbox:
        """`spec.container_id` has no sandbox yet."""
        self._etc.check(spec)
        record = self._plan(spec)
        self._open[record.id] = record
        try:
            self._records.save_sandbox(record)
            await self._build(record)
        except BaseException:
            await asyncio.shield(self.close(record.id))
            raise
        return self._describe(record)

    async def close(self, container_id: str) -> None:
        """Idempotent."""
        record = self._open.get(container_id)
        if record is None:
            return
        self._resolving.close(record)
        self._publisher.move(record.ports, self._targets(record), {})
        interfaces = [endpoint.host_interface for endpoint in record.endpoints]
        path = self._records.namespace(container_id)
        await self._threads.run(partial(plumbing.close_sandbox, path, interfaces))
        await self._forget_flows(record)
        rmtree(self._records.files(container_id), ignore_errors=True)
        self._records.remove_sandbox(container_id)
        self._open.pop(container_id, None)
        self._release(record)

    async def connect(self, container_id: str, attachment: Attachment) -> EndpointSettings:
        record = self.record(container_id)
        network = self._connectable(record, self._catalog.find(attachment.network))
        taken = {endpoint.interface for endpoint in record.endpoints}
        endpoint = network.allocate(record.spec, attachment.settings, taken)
        after = msgspec.structs.replace(record, endpoints=(*record.endpoints, endpoint))
        try:
            self._records.save_sandbox(after)
            wire = await self._wire(network, endpoint)
            path = self._records.namespace(container_id)
            await self._threads.run(partial(plumbing.attach, path, wire, self._routes(after)))
        except BaseException:
            await self._threads.run(partial(plumbing.remove_link, endpoint.host_interface))
            self._records.save_sandbox(record)
            network.release(container_id)
            raise
        await self._change(record, after)
        return network.settings_of(endpoint)

    async def disconnect(self, container_id: str, network: LiveNetwork) -> None:
        """Raises NotFound where the container is not on the network, Forbidden for the host's."""
        record = self.record(container_id)
        if network.mode == "host":
            raise Forbidden("container cannot be disconnected from host network", ("container", container_id))
        endpoint = network.endpoints.get(container_id)
        if endpoint is None:
            raise NotFound(f"container {container_id[:12]} is not connected to network {network.name}")
        rest = tuple(e for e in record.endpoints if e.endpoint_id != endpoint.endpoint_id)
        after = msgspec.structs.replace(record, endpoints=rest)
        path = self._records.namespace(container_id)
        await self._threads.run(partial(plumbing.detach, path, endpoint, self._routes(after)))
        self._records.save_sandbox(after)
        network.release(container_id)
        await self._change(record, after)

    def rename(self, container_id: str, name: str) -> None:
        record = self._open.get(container_id)
        if record is None:
            return
        spec = msgspec.structs.replace(record.spec, name=name)
        endpoints = []
        for endpoint in record.endpoints:
            network = self._catalog.get(endpoint.network_id)
            renamed = network.rename(container_id, endpoint, spec) if network else endpoint
            endpoints.append(renamed)
        after = msgspec.structs.replace(record, spec=spec, endpoints=tuple(endpoints))
        self._open[container_id] = after
        self._records.save_sandbox(after)
        self._resolving.forget(record)
        self._resolving.register(after)

    def publications(self) -> list[Publication]:
        """What all sandboxes together publish."""
        return [p for record in self._open.values() for p in publications(record.ports, self._targets(record))]

    async def recover(self, running: set[str]) -> None:
        """Close what has no container any more, and what a killed daemon left half made; serve the others again."""
        async with asyncio.TaskGroup() as group:
            for record in self.all():
                group.create_task(self._recover(record, record.id in running))
        for name in self._records.namespaces():
            if name not in self._open:
                await self._threads.run(partial(plumbing.close_sandbox, self._records.namespace(name), []))
        for name in self._records.file_folders():
            if name not in self._open:
                rmtree(self._records.files(name), ignore_errors=True)

    async def _recover(self, record: SandboxRecord, running: bool) -> None:
        is_host = record.mode == "host"
        if not running or not (is_host or namespaces.is_pinned(self._records.namespace(record.id))):
            await self.close(record.id)
        elif not is_host:
            await self._serve_again(record)

    async def _serve_again(self, record: SandboxRecord) -> None:
        """A privileged container may have broken its own namespace: that is no reason for a daemon not to start."""
        try:
            await self._resolving.open(record)
        except (ShoalError, OSError) as error:
            log.warning("a container goes on without names", container=record.id, error=str(error))

    def stats(self, container_id: str) -> dict[str, dict[str, int]]:
        """Read at the host's ends of the pairs, whose counters mirror those inside."""
        record = self.record(container_id)
        with Socket() as sock:
            found = {
                e.interface: rtnl.peer_counters(sock, e.host_interface) for e in record.endpoints if e.host_interface
            }
        return {interface: counters for interface, counters in found.items() if counters}

    def _plan(self, spec: SandboxSpec) -> SandboxRecord:
        """Everything that is decided without the kernel: addresses, interface names, host ports."""
        networks = [(self._catalog.find(a.network), a.settings) for a in spec.attachments]
        mode = _mode(spec, [network for network, _ in networks])
        record = SandboxRecord(spec=spec, mode=mode)
        if mode != "bridge":
            for network, settings in networks:
                endpoint = network.join(spec, settings)
                record = msgspec.structs.replace(record, endpoints=(endpoint,))
            return record
        try:
            networks.sort(key=lambda item: (-item[1].gw_priority, item[0].name))
            for network, settings in networks:
                taken = {endpoint.interface for endpoint in record.endpoints}
                endpoint = network.allocate(spec, settings, taken)
                record = msgspec.structs.replace(record, endpoints=(*record.endpoints, endpoint))
            ports = self._publisher.take(spec.ports, self._host_binding(record))
        except BaseException:
            self._release(record)
            raise
        return msgspec.structs.replace(record, ports=ports)

    async def _build(self, record: SandboxRecord) -> None:
        self._etc.write(record.spec, record.endpoints, self._networks(record), record.mode)
        if record.mode != "host":
            wires = [await self._wire(self._network(e), e) for e in record.endpoints] if record.mode == "bridge" else []
            path = self._records.namespace(record.id)
            build = partial(
                plumbing.open_sandbox, path, wires, self._routes(record), dns=self._resolving.wanted(record)
            )
            await self._resolving.open(record, await self._threads.run(build, undo=_close))
        self._publisher.move(record.ports, {}, self._targets(record))

    async def _wire(self, network: LiveNetwork, endpoint: Endpoint) -> Wire:
        index = await self._bridges.realise(network)
        return Wire(endpoint, index, network.mtu, isolated=not network.options.icc)

    async def _change(self, before: SandboxRecord, after: SandboxRecord) -> None:
        """After a connect or disconnect: ports follow the gateway, the hosts file the addresses."""
        self._open[after.id] = after
        self._publisher.move(after.ports, self._targets(before), self._targets(after))
        self._etc.write(after.spec, after.endpoints, self._networks(after), after.mode)
        await self._resolving.change(before, after)

    async def _forget_flows(self, record: SandboxRecord) -> None:
        """Clients of a published UDP port must not go on to an address that is another container's by then."""
        if any(port.protocol == "udp" for port in record.ports):
            await self._threads.run(partial(conntrack.forget_udp, self._targets(record).values()))

    def _release(self, record: SandboxRecord) -> None:
        self._publisher.give(record.ports)
        for network in self._networks(record):
            network.release(record.id)

    def _connectable(self, record: SandboxRecord, network: LiveNetwork) -> LiveNetwork:
        if "host" in (record.mode, network.mode):
            raise Forbidden("container cannot be disconnected from host network or connected to host network")
        if "none" in (record.mode, network.mode) and record.endpoints:
            raise Forbidden(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            )
        return network

    def _routes(self, record: SandboxRecord) -> list[Route]:
        routes = []
        for version in (4, 6):
            if endpoint := self._gateway_endpoint(record, version):
                gateway = endpoint.gateway4 if version == 4 else endpoint.gateway6
                routes.append(Route(endpoint.interface, ip_address(gateway)))
        return routes

    def _targets(self, record: SandboxRecord) -> Targets:
        """Where published ports lead: the addresses of the endpoints that also have the default routes."""
        targets = {}
        for version in (4, 6):
            if endpoint := self._gateway_endpoint(record, version):
                address = endpoint.ipv4 if version == 4 else endpoint.ipv6
                targets[version] = str(ip_interface(address).ip)
        return targets

    def _gateway_endpoint(self, record: SandboxRecord, version: int) -> Endpoint | None:
        """The one with the highest priority, then with both IP versions, then the first by its network's name (as Docker)."""
        able = [e for e in record.endpoints if (e.gateway4 if version == 4 else e.gateway6)]
        return min(able, key=self._gateway_rank, default=None)

    def _gateway_rank(self, endpoint: Endpoint) -> tuple[int, bool, str]:
        both = bool(endpoint.gateway4 and endpoint.gateway6)
        return (-endpoint.settings.gw_priority, not both, self._network(endpoint).name)

    def _host_binding(self, record: SandboxRecord) -> str:
        endpoint = self._gateway_endpoint(record, 4)
        return self._network(endpoint).options.host_binding if endpoint else ""

    def _network(self, endpoint: Endpoint) -> LiveNetwork:
        network = self._catalog.get(endpoint.network_id)
        assert network, f"network {endpoint.network_id} was removed under an endpoint"
        return network

    def _networks(self, record: SandboxRecord) -> list[LiveNetwork]:
        return [network for e in record.endpoints if (network := self._catalog.get(e.network_id))]

    def _describe(self, record: SandboxRecord) -> Sandbox:
        folder = self._records.files(record.id)
        path = plumbing.host_namespace() if record.mode == "host" else self._records.namespace(record.id)
        return Sandbox(
            container_id=record.id,
            path=path,
            resolv_conf=folder / "resolv.conf",
            hosts=folder / "hosts",
            hostname=folder / "hostname",
            endpoints={self._network(e).name: self._network(e).settings_of(e) for e in record.endpoints},
            ports=bindings(record.ports, self._targets(record)),
        )


def _close(sockets: DnsSockets | None) -> None:
    if sockets:
        sockets.close()


def _mode(spec: SandboxSpec, networks: Sequence[LiveNetwork]) -> str:
    """host, none or bridge. Raises InvalidArgument where they are mixed."""
    modes = {network.mode for network in networks} or {"none"}
    if modes == {"bridge"}:
        return "bridge"
    if len(networks) > 1:
        raise InvalidArgument(f"container {spec.name} cannot have other networks beside host or none")
    return modes.pop()
