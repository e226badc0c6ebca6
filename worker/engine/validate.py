"""Judging and completing what a user asks for, before anything is made. Resources, mounts and ports have their own modules."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import msgspec

from common.errors import InvalidArgument, Unsupported
from common.model.container import ContainerConfig, EndpointSettings, HostConfig, NetworkingConfig, RestartPolicy
from common.settings import Settings
from worker.engine import ports
from worker.engine.devices import check_devices
from worker.engine.healthconfig import check_health
from worker.engine.logconfig import complete_log_config
from worker.engine.namespaces import check_modes, joined
from worker.engine.resources import complete
from worker.engine.security import parse_security
from worker.engine.sysctls import check_sysctls
from worker.network.options import check_endpoint
from worker.runtime import capabilities
from worker.runtime.init import init_path

DEFAULT_SHM = 64 << 20
_HOSTNAME = re.compile(r"[a-zA-Z0-9._-]{1,63}")
_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")


def complete_config(config: ContainerConfig, host: HostConfig, id: str) -> ContainerConfig:
    """A merged config with its host name and ports; raises InvalidArgument, Unsupported."""
    _check_config(config)
    _refuse_nul((config, host))
    check_health(config.healthcheck)
    own_name = host.network_mode != "host" and host.uts_mode != "host" and not joined(host.network_mode)
    hostname = config.hostname or (id[:12] if own_name else "")
    return msgspec.structs.replace(config, hostname=hostname, exposed_ports=ports.completed(config, host))


def _check_config(config: ContainerConfig) -> None:
    if not config.entrypoint and not config.cmd:
        raise InvalidArgument("no command specified")
    if config.on_build:
        raise Unsupported("OnBuild is an image's field: leave it out")
    if config.hostname and not _HOSTNAME.fullmatch(config.hostname):
        raise InvalidArgument(f"invalid hostname: {config.hostname!r}: at most 63 of a-z, 0-9, '-' and '.'")
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    for text in config.env:
        if not text or text.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {text}")
    if config.stop_signal:
        parse_signal(config.stop_signal)


def _refuse_nul(value: object) -> None:
    """The kernel ends every text at a NUL: what lies behind it would be ignored."""
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidArgument(f"invalid text {value!r}: a NUL character cannot be part of it")
    elif isinstance(value, dict):
        _refuse_nul((*value, *value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            _refuse_nul(part)
    elif isinstance(value, msgspec.Struct):
        _refuse_nul([getattr(value, name) for name in value.__struct_fields__])


def complete_host(config: ContainerConfig, host: HostConfig, settings: Settings) -> tuple[HostConfig, list[str]]:
    """The host config with its defaults, and warnings. `config` is merged. Raises InvalidArgument, Unsupported."""
    _refuse_unsupported(host, settings)
    check_modes(config, host)
    check_policy(host.restart_policy, auto_remove=host.auto_remove)
    capabilities.resolve(host.cap_add, host.cap_drop, host.privileged)
    parse_security(host)
    check_devices(host)
    ports.mappings(config, host)
    check_sysctls(host)
    if host.init:
        init_path()
    if host.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidArgument(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    limited, warnings = complete(host)
    assert isinstance(limited, HostConfig)
    if host.network_mode == "host" and (host.port_bindings or host.publish_all_ports):
        warnings.append("Published ports are discarded when using host network mode")
    if config.network_disabled:
        limited = msgspec.structs.replace(limited, network_mode="none")
    return _with_defaults(limited, settings), warnings


def _with_defaults(host: HostConfig, settings: Settings) -> HostConfig:
    mode = host.network_mode
    return msgspec.structs.replace(
        host,
        network_mode="bridge" if mode in ("", "default") else mode,
        ipc_mode=host.ipc_mode or "private",
        shm_size=host.shm_size or DEFAULT_SHM,
        log_config=complete_log_config(host.log_config, settings),
        runtime=host.runtime or Path(settings.runtime).name,
        restart_policy=msgspec.structs.replace(host.restart_policy, name=host.restart_policy.name or "no"),
    )


def _refuse_unsupported(host: HostConfig, settings: Settings) -> None:
    if host.links:
        raise Unsupported("links are not supported: put the containers on one network and use their names")
    if host.isolation not in ("", "default"):
        raise Unsupported(f"invalid isolation {host.isolation!r}: only default is there on Linux")
    if host.storage_opt:
        raise Unsupported("--storage-opt is not supported: the overlay storage has no size limit per container")
    if host.volume_driver not in ("", "local"):
        raise Unsupported(f"volume driver {host.volume_driver!r} is not supported: use local")
    if host.runtime not in ("", Path(settings.runtime).name):
        raise InvalidArgument(f"unknown or invalid runtime name: {host.runtime}")
    if host.cgroup:
        raise Unsupported("HostConfig.Cgroup is not supported: leave it out")


def check_policy(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """Raises InvalidArgument."""
    if policy.name not in _POLICIES:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of {', '.join(_POLICIES[1:])}"
        )
    if policy.maximum_retry_count < 0:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise InvalidArgument("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if auto_remove and policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")


def parse_signal(text: str) -> int:
    """ "SIGTERM", "term", "15", "RTMIN+3" → the number. Raises InvalidArgument."""
    name = text.upper().removeprefix("SIG")
    if name.isdecimal() and 0 < int(name) < signal.NSIG:
        return int(name)
    base, plus, offset = name.partition("+")
    if plus and offset.isdecimal() and base == "RTMIN" and int(offset) <= 30:
        return int(signal.SIGRTMIN) + int(offset)
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise InvalidArgument(f"invalid signal: {text}") from None


def endpoints(networking: NetworkingConfig, config: ContainerConfig, host: HostConfig) -> dict[str, EndpointSettings]:
    """The wished endpoints by network, as named by the user; the network mode's network is always among them."""
    wanted = {name: settings or EndpointSettings() for name, settings in networking.endpoints_config.items()}
    if host.network_mode == "host" or joined(host.network_mode):
        if any(name not in ("host", host.network_mode) for name in wanted):
            raise InvalidArgument(
                "conflicting options: a container with the host's or another's network joins no other network"
            )
        return {"host": wanted.get("host", EndpointSettings())} if host.network_mode == "host" else {}
    for settings in wanted.values():
        check_endpoint(settings)
    if "default" in wanted:
        wanted["bridge"] = wanted.pop("default")
    first = wanted.pop(host.network_mode, None) or EndpointSettings()
    if config.mac_address and not first.mac_address:
        first = msgspec.structs.replace(first, mac_address=config.mac_address)
    return {host.network_mode: first, **wanted}
