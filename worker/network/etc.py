"""Which text each container's resolv.conf, hosts and hostname get. The texts' grammar is in files.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_interface
from pathlib import Path

from common.settings import Settings
from worker.network import files
from worker.network.base import SandboxSpec
from worker.network.files import Resolver
from worker.network.live import LiveNetwork
from worker.network.records import Endpoint, Records


class EtcFiles:
    def __init__(self, settings: Settings, records: Records) -> None:
        self._settings = settings
        self._records = records

    def check(self, spec: SandboxSpec) -> None:
        """Raises InvalidArgument where a server or an extra host is no address."""
        files.check_servers(spec.dns)
        for text in spec.extra_hosts:
            files.extra_host(text)

    def resolver(self, spec: SandboxSpec) -> Resolver:
        """What the container asked for, over the daemon's settings, over the host's resolv.conf."""
        dns = spec.dns or tuple(self._settings.dns)
        return files.merged(files.host_resolver(), dns=dns, search=spec.dns_search, options=spec.dns_options)

    def write(
        self, spec: SandboxSpec, endpoints: Sequence[Endpoint], networks: Sequence[LiveNetwork], mode: str
    ) -> None:
        folder = self._records.files(spec.container_id)
        folder.mkdir(exist_ok=True)
        files.write(folder / "hostname", spec.hostname + "\n")
        files.write(folder / "resolv.conf", self._resolv_conf(spec, networks, mode))
        files.write(folder / "hosts", self._hosts(spec, endpoints, networks, mode))

    def _resolv_conf(self, spec: SandboxSpec, networks: Sequence[LiveNetwork], mode: str) -> str:
        resolver = self.resolver(spec)
        if any(network.embedded_dns for network in networks):
            resolver = files.embedded(resolver)
        elif mode != "host":
            resolver = files.plain(resolver)
        return files.resolv_conf(resolver)

    def _hosts(
        self, spec: SandboxSpec, endpoints: Sequence[Endpoint], networks: Sequence[LiveNetwork], mode: str
    ) -> str:
        extra = [files.extra_host(text) for text in spec.extra_hosts]
        gateway = next((e.gateway4 or e.gateway6 for e in endpoints if e.gateway4 or e.gateway6), "")
        # In the host's own namespace the host is reached as any host reaches itself.
        gateway = gateway or "127.0.0.1"
        resolved = [(name, gateway if address == files.HOST_GATEWAY else address) for name, address in extra]
        if mode == "host":
            return _host_file() + "".join(f"{address}\t{name}\n" for name, address in resolved)
        return files.hosts(_own(spec, endpoints), resolved)


def _own(spec: SandboxSpec, endpoints: Sequence[Endpoint]) -> Iterator[tuple[str, list[str]]]:
    names = [f"{spec.hostname}.{spec.domainname}", spec.hostname] if spec.domainname else [spec.hostname]
    for endpoint in endpoints:
        for text in (endpoint.ipv4, endpoint.ipv6):
            if text:
                yield str(ip_interface(text).ip), [name for name in names if name]


def _host_file() -> str:
    try:
        return Path("/etc/hosts").read_text(errors="replace")
    except OSError:
        return ""
