"""Names for sandboxes: what each one's embedded resolver knows, which servers it asks for the rest, which VIPs it reaches."""

from __future__ import annotations

from functools import partial

from worker.network import files, namespaces
from worker.network.catalog import Catalog
from worker.network.dns_forward import Forwarder, Upstream
from worker.network.dns_names import NameTable, Zone
from worker.network.dns_server import DnsServer
from worker.network.dns_sockets import DnsSockets
from worker.network.etc import EtcFiles
from worker.network.namespaces import NamespaceThreads
from worker.network.records import Records, SandboxRecord
from worker.network.vips import Vips


class Resolving:
    def __init__(
        self, records: Records, catalog: Catalog, etc: EtcFiles, names: NameTable, vips: Vips, threads: NamespaceThreads
    ) -> None:
        self._records = records
        self._catalog = catalog
        self._etc = etc
        self._names = names
        self._vips = vips
        self._threads = threads
        self._server: DnsServer | None = None

    def start(self, server: DnsServer) -> None:
        self._server = server

    def wanted(self, record: SandboxRecord) -> bool:
        """True where one of the sandbox's networks has names."""
        return bool(self._zones(record))

    async def open(self, record: SandboxRecord, sockets: DnsSockets | None = None) -> None:
        """Make the sandbox's names known, and serve it where it wants that; `sockets` where it has them already."""
        self.register(record)
        if self.wanted(record):
            path = self._records.namespace(record.id)
            if sockets is None:
                open_there = partial(namespaces.run_in, path, DnsSockets.open_here)
                sockets = await self._threads.run(open_there, undo=DnsSockets.close)
            assert self._server
            self._server.serve(record.id, sockets, self._zones(record), self._forwarder(record))
            self._vips.open(record.id, path, _networks(record))

    async def change(self, before: SandboxRecord, after: SandboxRecord) -> None:
        """The sandbox's networks or names changed."""
        assert self._server
        self.forget(before)
        self.register(after)
        if self._server.is_serving(after.id) != self.wanted(after):
            self._server.stop(after.id)
            self._vips.close(after.id)
            await self.open(after)
        else:
            self._server.change(after.id, self._zones(after), self._forwarder(after))
            self._vips.change(after.id, _networks(after))

    def close(self, record: SandboxRecord) -> None:
        """Idempotent."""
        self.forget(record)
        self._vips.close(record.id)
        if self._server:
            self._server.stop(record.id)

    def register(self, record: SandboxRecord) -> None:
        for endpoint in record.endpoints:
            self._names.add(record.id, endpoint)

    def forget(self, record: SandboxRecord) -> None:
        for endpoint in record.endpoints:
            self._names.remove(record.id, endpoint)

    def _zones(self, record: SandboxRecord) -> list[Zone]:
        networks = (self._catalog.get(endpoint.network_id) for endpoint in record.endpoints)
        return [Zone(network.id, network.name) for network in networks if network and network.embedded_dns]

    def _forwarder(self, record: SandboxRecord) -> Forwarder:
        """A sandbox on internal networks only asks nobody: it is to reach nothing outside."""
        spec = record.spec
        outside = any(endpoint.gateway4 or endpoint.gateway6 for endpoint in record.endpoints)
        upstreams = [
            Upstream(server, at_home=files.is_loopback(server) and server not in spec.dns)
            for server in (self._etc.resolver(spec).servers if outside else ())
        ]
        return Forwarder(self._records.namespace(record.id), upstreams, self._threads)


def _networks(record: SandboxRecord) -> list[str]:
    return [endpoint.network_id for endpoint in record.endpoints]
