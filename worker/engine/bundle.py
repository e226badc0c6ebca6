"""The OCI bundle: config.json of one start, from the container's record and what was prepared for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.model.container import HostConfig
from worker.engine.container import Container
from worker.engine.devices import oci_devices
from worker.engine.limits import oci_resources
from worker.engine.merge import environment
from worker.engine.security import Security, masked_paths, parse_security, read_only_paths
from worker.engine.ulimits import oci_limits
from worker.runtime import capabilities
from worker.runtime.init import CONTAINER_PATH
from worker.runtime.users import lookup


def oci_config(
    container: Container,
    hostname: str,
    rootfs: Path,
    mounts: list[dict[str, Any]],
    namespaces: list[dict[str, Any]],
    cgroup: str,
) -> dict[str, Any]:
    """config.json without seccomp. Raises InvalidArgument where user, group or a device is not there."""
    config, host = container.config, container.host
    security = parse_security(host)
    nodes, rules = oci_devices(host)
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(container, hostname, rootfs, security),
        "root": {"path": str(rootfs), "readonly": host.readonly_rootfs},
        "mounts": mounts,
        "annotations": dict(host.annotations),
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": cgroup,
            "resources": {**oci_resources(host), "devices": rules},
            "devices": nodes,
            "maskedPaths": masked_paths(host, security),
            "readonlyPaths": read_only_paths(host, security),
            "sysctl": _sysctls(host, namespaces, config.domainname),
            "rootfsPropagation": _root_propagation(container),
        },
    }
    if any(namespace["type"] == "uts" for namespace in namespaces):
        spec["hostname"] = hostname
    return spec


def _process(container: Container, hostname: str, rootfs: Path, security: Security) -> dict[str, Any]:
    config, host = container.config, container.host
    identity = lookup(rootfs, config.user, host.group_add or ())
    granted = capabilities.resolve(host.cap_add, host.cap_drop, host.privileged)
    sets = {"bounding": granted}
    if identity.uid == 0:
        sets |= {"permitted": granted, "effective": granted}
    arguments = [CONTAINER_PATH, "--", *container.record.command] if host.init else container.record.command
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": identity.additional},
        "args": arguments,
        "env": environment(config, hostname),
        "cwd": config.working_dir or "/",
        "capabilities": sets,
        "rlimits": oci_limits(host.ulimits),
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": host.oom_score_adj,
    }
    if config.tty and any(host.console_size):
        process["consoleSize"] = {"height": host.console_size[0], "width": host.console_size[1]}
    if security.apparmor:
        process["apparmorProfile"] = security.apparmor
    return process


def _sysctls(host: HostConfig, namespaces: list[dict[str, Any]], domainname: str) -> dict[str, str]:
    """The user's, Docker's two for unprivileged ports and pings in an own network namespace, and the NIS domain."""
    defaults: dict[str, str] = {}
    if host.network_mode != "host" and not host.network_mode.startswith("container:"):
        defaults = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    if domainname and any(n["type"] == "uts" and "path" not in n for n in namespaces):
        defaults["kernel.domainname"] = domainname
    return defaults | {name.replace("/", "."): value for name, value in host.sysctls.items()}


def _root_propagation(container: Container) -> str:
    """Shared and slave mounts need a root that lets events through."""
    wanted = {point.propagation.removeprefix("r") for point in container.record.mounts}
    return "rshared" if "shared" in wanted else "rslave" if "slave" in wanted else "rprivate"
