"""What a start needs before the runtime can create the container: root file system, sandbox, volumes, bundle."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from common.durable import write_file
from worker.engine import bundlemounts
from worker.engine.bundle import oci_config
from worker.engine.container import Container
from worker.engine.logconfig import log_limits
from worker.engine.mountplan import Plan
from worker.engine.namespaces import ipc_donor, oci_namespaces
from worker.engine.networking import file_mounts, namespace_path, open_sandbox
from worker.engine.parts import Parts
from worker.engine.security import parse_security
from worker.engine.together import both
from worker.network.base import Sandbox
from worker.runtime import apparmor, capabilities, seccomp
from worker.runtime.base import Launch


async def create_run(parts: Parts, container: Container) -> int:
    """Prepare everything and create the container at the runtime; the pid of its process, which waits to be started.

    What was prepared when it fails is the caller's to clean up.
    """
    rootfs, sandbox = await both(parts.images.mount(container.id), open_sandbox(container, parts.index, parts.networks))
    container.bundle.mkdir(mode=0o710, exist_ok=True)
    with Plan(container, parts.volumes) as plan:
        mounts = await plan.mounts(_shared_memory(parts, container), file_mounts(sandbox))
        namespaces = oci_namespaces(container.host, parts.index, namespace_path(sandbox))
        cgroup = f"{parts.settings.cgroup_root}/{container.id}"
        spec = oci_config(container, _hostname(parts, container, sandbox), rootfs, mounts, namespaces, cgroup)
        if profile := spec["process"].get("apparmorProfile"):
            await apparmor.require(profile)
        await _add_seccomp(parts, container, spec)
        write_file(container.bundle / "config.json", msgspec.json.encode(spec), durable=False)
        return await parts.runtime.create(_launch(container))


def _hostname(parts: Parts, container: Container, sandbox: Sandbox) -> str:
    """The container's own, that of the container whose network it shares, or the host's."""
    owner = parts.index.find(sandbox.container_id) or container
    return owner.config.hostname or platform.node()


def _shared_memory(parts: Parts, container: Container) -> Path | None:
    """The host's folder that is the container's /dev/shm, where it shares one."""
    if donor := ipc_donor(parts.index, container.host):
        return bundlemounts.shared_memory(donor.bundle)
    if container.host.ipc_mode == "shareable":
        return bundlemounts.mount_shared_memory(container.bundle, container.host.shm_size)
    return None


async def _add_seccomp(parts: Parts, container: Container, spec: dict[str, Any]) -> None:
    host = container.host
    wanted = parse_security(host).seccomp
    granted = tuple(capabilities.resolve(host.cap_add, host.cap_drop, host.privileged))
    profile = _default_profile(granted) if wanted is None else seccomp.profile(granted, wanted)
    if profile is not None:
        resolved = await parts.runtime.seccomp.resolve(profile)
        spec["linux"]["seccomp"] = resolved.linux
        spec["annotations"] |= resolved.annotations


@lru_cache(maxsize=64)
def _default_profile(granted: tuple[str, ...]) -> dict[str, Any] | None:
    return seccomp.profile(granted, None)


def _launch(container: Container) -> Launch:
    config, log = container.config, container.host.log_config
    limits = log_limits(log)
    return Launch(
        id=container.id,
        bundle=container.bundle,
        tty=config.tty,
        stdin=config.open_stdin,
        stdin_once=config.stdin_once,
        log=None if log.type == "none" else container.log_path,
        log_max_size=limits.size,
        log_max_files=limits.files,
    )
