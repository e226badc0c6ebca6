"""GET /containers/{id}/json: all there is to say about one container, in Docker's shape."""

from __future__ import annotations

from typing import Any

import msgspec

from common.model.container import EndpointSettings
from worker.engine import shapes
from worker.engine.container import Container
from worker.engine.parts import Parts
from worker.engine.record import Health, State
from worker.engine.security import parse_security
from worker.engine.times import rfc3339


async def inspect(parts: Parts, container: Container, *, size: bool) -> dict[str, Any]:
    """With `size`, SizeRw and SizeRootFs in bytes, which takes a walk over the container's files."""
    record, host = container.record, container.host
    command = record.command
    shape: dict[str, Any] = {
        "Id": record.id,
        "Created": rfc3339(record.created),
        "Path": command[0] if command else "",
        "Args": command[1:],
        "State": _state(container.state),
        "Image": record.image_id,
        **_files(parts, container),
        "Name": f"/{record.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": parse_security(host).apparmor,
        "ExecIDs": None,
        "HostConfig": msgspec.to_builtins(host),
        "GraphDriver": {"Name": "overlay2", "Data": None},
        "Mounts": shapes.mounts(container, _volume_root(parts)),
        "Config": _config(container),
        "NetworkSettings": _network_settings(parts, container),
        "ImageManifestDescriptor": None,
    }
    if size:
        own, whole = await parts.images.usage(record.id)
        shape |= {"SizeRw": own, "SizeRootFs": whole}
    return shape


def _volume_root(parts: Parts) -> str:
    return str(parts.settings.root / "volumes")


def _files(parts: Parts, container: Container) -> dict[str, str]:
    sandbox = parts.networks.sandbox(container.id)
    return {
        "ResolvConfPath": str(sandbox.resolv_conf) if sandbox else "",
        "HostnamePath": str(sandbox.hostname) if sandbox else "",
        "HostsPath": str(sandbox.hosts) if sandbox else "",
        "LogPath": "" if container.host.log_config.type == "none" else str(container.log_path),
    }


def _config(container: Container) -> dict[str, Any]:
    config: dict[str, Any] = msgspec.to_builtins(container.config)
    for name in ("Healthcheck", "StopTimeout", "Shell", "StopSignal", "ArgsEscaped", "NetworkDisabled", "MacAddress"):
        if not config[name] and config[name] != 0:
            del config[name]
    return config


def _state(state: State) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "Status": state.status,
        "Running": state.status in ("running", "paused", "restarting"),
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at),
        "FinishedAt": rfc3339(state.finished_at),
    }
    return shape | ({"Health": _health(state.health)} if state.health is not None else {})


def _health(health: Health) -> dict[str, Any]:
    results = [
        {"Start": rfc3339(r.start), "End": rfc3339(r.end), "ExitCode": r.exit_code, "Output": r.output}
        for r in health.log
    ]
    return {"Status": health.status, "FailingStreak": health.failing_streak, "Log": results}


def _network_settings(parts: Parts, container: Container) -> dict[str, Any]:
    sandbox = parts.networks.sandbox(container.id) if container.active else None
    endpoints = shapes.networks(parts, container)
    default = endpoints.get("bridge", EndpointSettings())
    return {
        "Bridge": "",
        "SandboxID": container.id if sandbox else "",
        "SandboxKey": str(sandbox.path) if sandbox else "",
        "Ports": sandbox.ports if sandbox else {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": default.endpoint_id,
        "Gateway": default.gateway,
        "GlobalIPv6Address": default.global_ipv6_address,
        "GlobalIPv6PrefixLen": default.global_ipv6_prefix_len,
        "IPAddress": default.ip_address,
        "IPPrefixLen": default.ip_prefix_len,
        "IPv6Gateway": default.ipv6_gateway,
        "MacAddress": default.mac_address,
        "Networks": endpoints,
    }
