"""Which namespaces a container has of its own, shares with the host or joins of another container."""

from __future__ import annotations

from typing import Any

from common.errors import Conflict, InvalidArgument, Unsupported
from common.model.container import ContainerConfig, HostConfig
from worker.engine.container import Container
from worker.engine.index import Index
from worker.runtime.cgroups import hierarchies

_JOIN = "container:"


def joined(mode: str) -> str:
    """The container that a mode like "container:web" names; "" for other modes."""
    return mode.removeprefix(_JOIN) if mode.startswith(_JOIN) else ""


def cgroup_is_private(host: HostConfig) -> bool:
    """Docker's default: a namespace of its own with cgroup v2, the host's with v1."""
    return host.cgroupns_mode == "private" or (not host.cgroupns_mode and hierarchies().version == 2)


def check_modes(config: ContainerConfig, host: HostConfig) -> None:
    """Raises InvalidArgument for modes that do not exist or exclude each other, Unsupported for user namespaces."""
    _one_of("PID", host.pid_mode, ("", "private", "host"))
    _one_of("IPC", host.ipc_mode, ("", "private", "shareable", "host", "none"))
    _one_of("UTS", host.uts_mode, ("", "private", "host"), join=False)
    _one_of("cgroup namespace", host.cgroupns_mode, ("", "private", "host"), join=False)
    if host.userns_mode not in ("", "host"):
        raise Unsupported(
            f"user namespace mode {host.userns_mode!r} is not supported: containers share the host's users"
        )
    if host.uts_mode == "host" and (config.hostname or config.domainname):
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    network = host.network_mode
    if joined(network) == "" and network.startswith(_JOIN):
        raise InvalidArgument("invalid container network mode: a container's name or id is missing")
    if network == "host" or joined(network):
        _check_shared_network(config, host)


def _one_of(kind: str, mode: str, known: tuple[str, ...], *, join: bool = True) -> None:
    if mode not in known and not (join and joined(mode)):
        raise InvalidArgument(f"invalid {kind} mode: {mode}")


def _check_shared_network(config: ContainerConfig, host: HostConfig) -> None:
    if config.mac_address:
        raise InvalidArgument("conflicting options: mac-address and the network mode")
    if not joined(host.network_mode):
        return
    if config.hostname:
        raise InvalidArgument("conflicting options: hostname and the network mode")
    if host.dns or host.extra_hosts:
        raise InvalidArgument("conflicting options: dns or add-host and the network mode: the other container decides")
    if host.port_bindings or host.publish_all_ports or config.exposed_ports:
        raise InvalidArgument("conflicting options: port publishing and the container type network mode")


def oci_namespaces(host: HostConfig, index: Index, network: str | None) -> list[dict[str, Any]]:
    """linux.namespaces; `network` is the path of the namespace to join, None for the daemon's own.

    Raises NotFound and Conflict where a container that is to be joined is not there or does not run.
    """
    found: list[dict[str, Any]] = [{"type": "mount"}]
    for kind, mode in (("pid", host.pid_mode), ("ipc", host.ipc_mode), ("uts", host.uts_mode)):
        if mode != "host":
            found.append({"type": kind} | _path(index, kind, joined(mode)))
    if network is not None:
        found.append({"type": "network", "path": network})
    if cgroup_is_private(host):
        found.append({"type": "cgroup"})
    return found


def _path(index: Index, kind: str, ref: str) -> dict[str, str]:
    return {"path": f"/proc/{running(index, ref).pid}/ns/{kind}"} if ref else {}


def running(index: Index, ref: str) -> Container:
    """A container whose namespaces can be joined. Raises NotFound, Conflict."""
    other = index.get(ref)
    if not other.running:
        raise Conflict(f"cannot join the namespace of a non running container: {ref}", ("container", other.id))
    return other


def ipc_donor(index: Index, host: HostConfig) -> Container | None:
    """The container whose IPC namespace and /dev/shm are joined. Raises Conflict where it does not share them."""
    ref = joined(host.ipc_mode)
    if not ref:
        return None
    other = running(index, ref)
    if other.host.ipc_mode != "shareable":
        raise Conflict(
            f"cannot join IPC namespace of container {ref}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        )
    return other
