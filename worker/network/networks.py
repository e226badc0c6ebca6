"""LocalNetworks: the network of one node, put together. Implements Networks and ClusterNetworks of base.py.

Owns the life of networks (create, remove, recover); the life of sandboxes is in sandboxes.py. All is in the network
namespace in which the daemon runs. A daemon's end touches no container's network: shut_down() only lets go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec

from common.errors import Conflict, Forbidden
from common.ids import hex_id
from common.model import IPAM, Network, NetworkInspect, NetworkSpec
from common.model.container import EndpointSettings
from common.settings import Settings
from common.wire import Peer, ServiceEndpoint
from worker.engine.events import EventBus
from worker.network import options
from worker.network.base import Attachment, ControlPlane, Sandbox, SandboxSpec
from worker.network.bridges import Bridges
from worker.network.catalog import Catalog
from worker.network.cluster import Cluster
from worker.network.dns_names import NameTable
from worker.network.dns_server import DnsServer
from worker.network.etc import EtcFiles
from worker.network.firewall import Firewall
from worker.network.guests import Guests
from worker.network.ingress import Ingress
from worker.network.ipam import complete
from worker.network.live import LiveNetwork
from worker.network.namespaces import NamespaceThreads
from worker.network.netlink import Socket
from worker.network.overlays import Overlays
from worker.network.ports import HostPorts
from worker.network.publishing import Publisher
from worker.network.records import Records
from worker.network.registry import Registry
from worker.network.resolving import Resolving
from worker.network.rtnl import routed_subnets
from worker.network.sandboxes import Sandboxes
from worker.network.vips import Vips


class LocalNetworks:
    """Start with start_up(), then recover(); end with shut_down()."""

    def __init__(self, settings: Settings, events: EventBus, plane: ControlPlane) -> None:
        self._settings = settings
        self._events = events
        self._records = Records(settings)
        self._catalog = Catalog()
        self._threads = NamespaceThreads()
        overlays = Overlays(self._threads, plane.here)
        self._bridges = Bridges(self._threads, overlays)
        self._firewall = Firewall(settings.nft_table)
        self._ports = HostPorts()
        self._publisher = Publisher(self._firewall, self._ports)
        self._names = NameTable()
        etc = EtcFiles(settings, self._records)
        self._vips = Vips(self._threads)
        self._resolving = Resolving(self._records, self._catalog, etc, self._names, self._vips, self._threads)
        self._sandboxes = Sandboxes(
            self._records, self._catalog, self._bridges, self._publisher, self._threads, etc, self._resolving
        )
        self._ingress = Ingress(f"{settings.nft_table}_svc", self._ports, self._threads)
        self._registry = Registry(self._records, self._catalog, self._bridges, self._firewall)
        self._cluster = Cluster(
            self._catalog, self._registry, self._bridges, overlays, self._names, self._vips, self._ingress, plane.here
        )
        self._guests = Guests(plane, self._catalog, self._cluster)
        self._stack = AsyncExitStack()

    async def start_up(self) -> None:
        """Read what is on disk, make the predefined networks known, bring the firewall to exactly that state."""
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        server = DnsServer(self._names, self._vips, group)
        background = group.create_task(self._vips.run(), name="service addresses")
        self._stack.callback(background.cancel)
        self._stack.callback(server.stop_all)
        self._resolving.start(server)
        self._records.make_folders()
        for cluster in (False, True):
            for model in self._records.networks(cluster=cluster):
                self._catalog.add(LiveNetwork(model, cluster=cluster))
        self._predefine()
        self._sandboxes.load()
        for record in self._sandboxes.all():
            assigned = {wish.network for wish in record.spec.attachments} if record.spec.assigned else set()
            self._guests.restore(record.id, {endpoint.network_id for endpoint in record.endpoints} - assigned)
        published = self._sandboxes.publications()
        self._firewall.rebuild([network.rules for network in self._catalog if network.mode == "bridge"], published)
        self._publisher.restore(published)

    async def shut_down(self) -> None:
        """Let go of sockets and threads. Namespaces, interfaces, rules and files stay for the containers."""
        await self._stack.aclose()
        self._ports.close()
        self._ingress.close()
        self._firewall.close()
        self._threads.close()

    async def create(self, spec: NetworkSpec) -> str:
        options.check_spec(spec)
        self._catalog.check_free(spec.name)
        network = LiveNetwork(self._model(spec))
        self._refuse_taken_bridge(network)
        await self._registry.add(network)
        self._publish("create", network)
        return network.id

    async def remove(self, network: str) -> None:
        found = self._catalog.find(network)
        if found.predefined:
            raise Forbidden(f"{found.name} is a pre-defined network and cannot be removed", ("network", found.name))
        if found.cluster:
            raise Forbidden(f"network {found.name} belongs to the cluster: remove it there", ("network", found.name))
        await self._registry.remove(found)
        self._publish("destroy", found)

    def inspect(self, network: str) -> NetworkInspect:
        return self._catalog.find(network).inspect()

    def list(self) -> Sequence[NetworkInspect]:
        return [network.inspect() for network in self._catalog]

    async def open(self, spec: SandboxSpec) -> Sandbox:
        if self._sandboxes.describe(spec.container_id) is not None:
            raise Conflict(f"container {spec.name} has an open sandbox already", ("container", spec.container_id))
        try:
            sandbox = await self._sandboxes.open(spec if spec.assigned else await self._admitted(spec))
        except BaseException:
            await asyncio.shield(self._guests.leave_all(spec.container_id))
            raise
        for network in self._catalog.of_container(spec.container_id):
            self._publish("connect", network, spec.container_id)
        return sandbox

    async def close(self, container_id: str) -> None:
        networks = list(self._catalog.of_container(container_id))
        await self._sandboxes.close(container_id)
        await self._guests.leave_all(container_id)
        for network in networks:
            self._publish("disconnect", network, container_id)

    async def connect(self, container_id: str, attachment: Attachment) -> EndpointSettings:
        attachment = await self._guests.admit(container_id, attachment)
        network = self._catalog.find(attachment.network)
        try:
            settings = await self._sandboxes.connect(container_id, attachment)
        except BaseException:
            if container_id not in network.endpoints:
                await asyncio.shield(self._guests.leave(container_id, network.id))
            raise
        self._publish("connect", network, container_id)
        return settings

    async def _admitted(self, spec: SandboxSpec) -> SandboxSpec:
        """The spec with the places that the control plane gives. In turn: what fails is given back as a whole."""
        places = [await self._guests.admit(spec.container_id, wish) for wish in spec.attachments]
        return msgspec.structs.replace(spec, attachments=tuple(places))

    async def disconnect(self, container_id: str, network: str, *, force: bool = False) -> None:
        found = self._catalog.find(network)
        await self._sandboxes.disconnect(container_id, found)
        await self._guests.leave(container_id, found.id)
        self._publish("disconnect", found, container_id)

    def sandbox(self, container_id: str) -> Sandbox | None:
        return self._sandboxes.describe(container_id)

    def rename(self, container_id: str, name: str) -> None:
        self._sandboxes.rename(container_id, name)

    async def recover(self, running: Sequence[str]) -> None:
        await self._sandboxes.recover(set(running))
        for container_id in self._guests.containers():
            if self._sandboxes.describe(container_id) is None:
                await self._guests.leave_all(container_id)
        for network in self._catalog:
            if network.mode == "bridge" and (network.endpoints or not network.cluster):
                await self._bridges.realise(network)

    async def ensure(self, network: Network) -> None:
        await self._cluster.ensure(network)

    async def forget_idle(self, needed: Callable[[], Collection[str]]) -> None:
        await self._cluster.forget_idle(lambda: {*needed(), *self._guests.networks()})

    def guests(self) -> Sequence[str]:
        return self._guests.containers()

    async def reach(self, peers: Sequence[Peer]) -> None:
        await self._cluster.reach(peers)

    async def program(self, endpoints: Sequence[ServiceEndpoint]) -> None:
        await self._cluster.program(endpoints)

    def stats(self, container_id: str) -> dict[str, dict[str, int]]:
        return self._sandboxes.stats(container_id)

    def _model(self, spec: NetworkSpec) -> Network:
        now = datetime.now(UTC)
        with Socket() as sock:
            routed = list(routed_subnets(sock))
        ipam = complete(
            spec.ipam,
            options.versions(spec),
            pools=[*self._settings.address_pools, *self._settings.ipv6_pools],
            taken=self._catalog.subnets(),
            routed=routed,
        )
        return Network(id=hex_id(), created_at=now, updated_at=now, spec=spec, ipam=ipam)

    def _predefine(self) -> None:
        known = {network.name for network in self._catalog}
        for name, driver in options.PREDEFINED.items():
            if name not in known:
                spec = NetworkSpec(name=name, driver=driver, scope="local")
                model = self._model(self._default_bridge(spec)) if driver == "bridge" else _unaddressed(spec)
                self._records.save_network(model, cluster=False)
                self._catalog.add(LiveNetwork(model))

    def _default_bridge(self, spec: NetworkSpec) -> NetworkSpec:
        shown = {
            options.DEFAULT_BRIDGE: "true",
            options.ICC: "true",
            options.MASQUERADE: "true",
            options.HOST_BINDING: "0.0.0.0",
            options.BRIDGE_NAME: self._settings.bridge_name,
            options.MTU: str(options.BRIDGE_MTU),
        }
        return msgspec.structs.replace(spec, options=shown)

    def _refuse_taken_bridge(self, network: LiveNetwork) -> None:
        for other in self._catalog:
            if other.mode == "bridge" and other.options.interface == network.options.interface:
                raise Conflict(
                    f"network {other.name} uses the bridge {other.options.interface} already", ("network", other.id)
                )

    def _publish(self, action: str, network: LiveNetwork, container_id: str = "") -> None:
        attributes = {"name": network.name, "type": network.model.spec.driver}
        if container_id:
            attributes["container"] = container_id
        self._events.publish("network", action, network.id, attributes)


def _unaddressed(spec: NetworkSpec) -> Network:
    """host and none: no addresses of ours."""
    now = datetime.now(UTC)
    ipam = IPAM(driver="default", config=[])
    return Network(id=hex_id(), created_at=now, updated_at=now, spec=spec, ipam=ipam)
