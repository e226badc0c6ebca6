"""SecurityOpt parsed: seccomp, no-new-privileges, AppArmor, labels, paths that are hidden or read-only."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from common.errors import InvalidArgument, Unsupported
from common.model.container import HostConfig
from worker.runtime import apparmor
from worker.runtime.seccomp import parse_profile

_MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Security(NamedTuple):
    """`seccomp`: None is the default profile. `apparmor`: a profile's name, "" where the machine has no AppArmor."""

    seccomp: dict[str, Any] | Literal["unconfined"] | None = None
    no_new_privileges: bool = False
    apparmor: str = ""
    unmasked: bool = False


def parse_security(host: HostConfig) -> Security:
    """Raises InvalidArgument, Unsupported. A privileged container has no seccomp profile unless it asks for one."""
    values: dict[str, Any] = {"seccomp": "unconfined"} if host.privileged else {}
    values["apparmor"] = default_apparmor(host)
    for option in host.security_opt or ():
        name, value = _split(option)
        if name == "no-new-privileges":
            values["no_new_privileges"] = _flag(option, value)
        elif name == "seccomp":
            values["seccomp"] = _seccomp(value)
        elif name == "apparmor":
            values["apparmor"] = _apparmor(value)
        elif name == "systempaths" and value == "unconfined":
            values["unmasked"] = True
        elif name != "label":
            raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
        elif value != "disable":
            raise Unsupported("SELinux labels are not supported: only label=disable is")
    return Security(**values)


def _split(option: str) -> tuple[str, str]:
    """ "name=value", or the older "name:value"."""
    name, separator, value = option.partition("=")
    if not separator:
        name, separator, value = option.partition(":")
    return name, value


def _flag(option: str, value: str) -> bool:
    if value.lower() in ("", "true", "1", "t"):
        return True
    if value.lower() in ("false", "0", "f"):
        return False
    raise InvalidArgument(f'invalid --security-opt 2: "{option}"')


def _seccomp(value: str) -> dict[str, Any] | Literal["unconfined"] | None:
    if value == "unconfined":
        return "unconfined"
    return None if value in ("builtin", "default") else parse_profile(value)


def default_apparmor(host: HostConfig) -> str:
    """The profile of a container that asks for none."""
    if not apparmor.supported():
        return ""
    return apparmor.UNCONFINED if host.privileged else apparmor.DEFAULT


def _apparmor(value: str) -> str:
    if value != apparmor.UNCONFINED and not apparmor.supported():
        raise Unsupported(
            f"apparmor profile {value!r} cannot be used: this kernel has AppArmor switched off, or the package apparmor is missing"
        )
    return value if apparmor.supported() else ""


def masked_paths(host: HostConfig, security: Security) -> list[str]:
    if host.masked_paths is not None:
        return host.masked_paths
    return [] if host.privileged or security.unmasked else list(_MASKED)


def read_only_paths(host: HostConfig, security: Security) -> list[str]:
    if host.readonly_paths is not None:
        return host.readonly_paths
    return [] if host.privileged or security.unmasked else list(_READ_ONLY)
