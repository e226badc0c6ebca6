"""JSON shapes that `inspect` and the list of containers share: mounts, networks, status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from common.errors import NotFound
from common.model.container import EndpointSettings
from worker.engine.container import Container
from worker.engine.namespaces import joined
from worker.engine.parts import Parts
from worker.engine.record import MountPoint
from worker.engine.times import human_duration


def mounts(container: Container, volume_root: str) -> list[dict[str, Any]]:
    """The mount points that Docker shows: all but those of --tmpfs."""
    shown = (point for point in container.record.mounts if point.type != "tmpfs" or point.from_mounts)
    return [_mount(point, volume_root) for point in shown]


def _mount(point: MountPoint, volume_root: str) -> dict[str, Any]:
    shape: dict[str, Any] = {"Type": point.type}
    source = point.source
    if point.type == "volume":
        shape |= {"Name": point.name, "Driver": point.driver}
        source = f"{volume_root}/{point.name}/_data"
    return shape | {
        "Source": source,
        "Destination": point.destination,
        "Mode": point.mode,
        "RW": point.rw,
        "Propagation": point.propagation,
    }


def networks(parts: Parts, container: Container) -> dict[str, EndpointSettings]:
    """Endpoints by network: what it has where it runs, what it will ask for where it does not."""
    sandbox = parts.networks.sandbox(container.id) if container.active else None
    if sandbox is not None:
        return sandbox.endpoints
    if joined(container.host.network_mode):
        return {}
    return {name: _resting(parts, name, settings) for name, settings in container.record.endpoints.items()}


def _resting(parts: Parts, network: str, settings: EndpointSettings) -> EndpointSettings:
    try:
        return msgspec.structs.replace(settings, network_id=parts.networks.inspect(network).id)
    except NotFound:
        return settings


def status(container: Container, now: datetime | None = None) -> str:
    """ "Up 5 minutes (healthy)", "Exited (0) 2 hours ago", as `docker ps` shows it."""
    state, now = container.state, now or datetime.now(UTC)
    if state.status in ("running", "paused"):
        up = f"Up {_since(state.started_at, now)}"
        if state.status == "paused":
            return f"{up} (Paused)"
        if state.health is not None:
            return f"{up} ({'health: starting' if state.health.status == 'starting' else state.health.status})"
        return up
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {_since(state.finished_at, now)} ago"
    if state.status == "removing":
        return "Removal In Progress"
    if state.finished_at is None:
        return "Created"
    return f"Exited ({state.exit_code}) {_since(state.finished_at, now)} ago"


def _since(moment: datetime | None, now: datetime) -> str:
    return human_duration((now - (moment or now)).total_seconds())
