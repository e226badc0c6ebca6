"""`docker update`: other limits and another restart policy for a container, running or not."""

from __future__ import annotations

from typing import Any

import msgspec

from common.errors import Conflict, InvalidArgument, Unsupported
from common.model.container import Resources, RestartPolicy
from worker.engine.container import Container
from worker.engine.limits import oci_resources
from worker.engine.parts import Parts
from worker.engine.resources import complete
from worker.engine.validate import check_policy

_CHANGEABLE = {
    "blkio_weight", "cpu_shares", "cpu_period", "cpu_quota", "cpu_realtime_period", "cpu_realtime_runtime", "cpuset_cpus",
    "cpuset_mems", "memory", "memory_reservation", "memory_swap", "nano_cpus", "pids_limit",
}  # fmt: skip


class UpdateRequest(Resources, frozen=True, kw_only=True):
    """The body of POST /containers/{id}/update; what is 0, empty or null stays as it is."""

    restart_policy: RestartPolicy | None = None


async def update(parts: Parts, container: Container, request: UpdateRequest) -> list[str]:
    """Warnings. Raises InvalidArgument, Unsupported, Conflict."""
    if container.removing:
        raise Conflict(
            f"container {container.name} is being removed and cannot be updated", ("container", container.id)
        )
    changes = _changes(request)
    async with container.lock:
        host = msgspec.structs.replace(container.host, **_consistent(container.host, changes))
        completed, warnings = complete(host)
        if request.restart_policy is not None and request.restart_policy.name:
            completed = msgspec.structs.replace(completed, restart_policy=_policy(container, request.restart_policy))
        if container.running and changes:
            await parts.runtime.update(container.id, oci_resources(completed, changing=True))
        container.set_record(host=completed)
    parts.publish(container, "update")
    return warnings


def _changes(request: UpdateRequest) -> dict[str, Any]:
    changes = {}
    for field in msgspec.structs.fields(Resources):
        value = getattr(request, field.name)
        if value in (None, 0, "", []) and value is not False:
            continue
        if field.name not in _CHANGEABLE:
            raise Unsupported(f"{field.encode_name} cannot be updated: make a new container")
        changes[field.name] = value
    return changes


def _consistent(host: Resources, changes: dict[str, Any]) -> dict[str, Any]:
    """Refuse what contradicts limits that are set already."""
    if ("cpu_period" in changes or "cpu_quota" in changes) and host.nano_cpus:
        raise InvalidArgument("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
    if "nano_cpus" in changes and (host.cpu_quota or host.cpu_period):
        raise InvalidArgument("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
    memory = changes.get("memory", 0)
    if memory and "memory_swap" not in changes and 0 < host.memory_swap < memory:
        raise InvalidArgument(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    return changes


def _policy(container: Container, policy: RestartPolicy) -> RestartPolicy:
    if container.host.auto_remove and policy.name != "no":
        raise InvalidArgument("Restart policy cannot be updated because AutoRemove is enabled for the container")
    check_policy(policy, auto_remove=False)
    return policy
