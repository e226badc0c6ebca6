"""A container's wishes in the network's words, and what it got back: SandboxSpec, and the files to mount from a sandbox."""

from __future__ import annotations

from typing import Any

from common.errors import Conflict, NotFound
from worker.engine import ports
from worker.engine.container import TASK_LABEL, Container
from worker.engine.index import Index
from worker.engine.namespaces import joined, running
from worker.network.base import Attachment, Networks, Sandbox, SandboxSpec


def sandbox_spec(container: Container, networks: Networks) -> SandboxSpec:
    """What networks.open() takes."""
    config, host = container.config, container.host
    return SandboxSpec(
        container_id=container.id,
        name=container.name,
        hostname=config.hostname,
        domainname=config.domainname,
        attachments=tuple(
            Attachment(network=name, settings=settings) for name, settings in container.record.endpoints.items()
        ),
        ports=ports.mappings(config, host) if host.network_mode not in ("host", "none") else (),
        dns=tuple(host.dns),
        dns_search=tuple(host.dns_search),
        dns_options=tuple(host.dns_options),
        extra_hosts=tuple(host.extra_hosts or ()),
        assigned=TASK_LABEL in config.labels,
    )


async def open_sandbox(container: Container, index: Index, networks: Networks) -> Sandbox:
    """The container's own sandbox, or that of the container whose network it shares. Raises NotFound, Conflict."""
    if not (ref := joined(container.host.network_mode)):
        return await networks.open(sandbox_spec(container, networks))
    other = running(index, ref)
    while further := joined(other.host.network_mode):
        other = running(index, further)
    sandbox = networks.sandbox(other.id)
    if sandbox is None:
        raise Conflict(f"container {ref} has no network to be shared", ("container", other.id))
    return sandbox


def namespace_path(sandbox: Sandbox) -> str | None:
    """The network namespace to join; None for the host's."""
    return None if "host" in sandbox.endpoints else str(sandbox.path)


def canonical(name: str, networks: Networks) -> str:
    """A network's name for its name or id; a network that is not there yet keeps the word it was called by."""
    try:
        return networks.inspect(name).name
    except NotFound:
        return name


def file_mounts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """resolv.conf, hostname and hosts."""
    files = (
        ("/etc/resolv.conf", sandbox.resolv_conf),
        ("/etc/hostname", sandbox.hostname),
        ("/etc/hosts", sandbox.hosts),
    )
    return [
        {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", "rprivate"]}
        for target, source in files
    ]
