"""A service's ContainerSpec: image, mounts, health check, file references. Limits of one host are its worker's to judge."""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import InvalidArgument, Unsupported
from common.model import ContainerSpec
from common.model.service import FileTarget, Privileges
from common.model.shared import HealthConfig, Mount
from common.reference import parse_reference

MILLISECOND = 1_000_000


def check_container(spec: ContainerSpec) -> None:
    if not spec.image:
        raise InvalidArgument("ContainerSpec: image reference must be provided")
    try:
        parse_reference(spec.image)
    except InvalidArgument:
        raise InvalidArgument(f'ContainerSpec: "{spec.image}" is not a valid repository/tag') from None
    _check_privileges(spec.privileges or Privileges())
    _check_mounts(spec.mounts)
    if spec.healthcheck is not None:
        _check_health(spec.healthcheck)
    if spec.stop_grace_period is not None and spec.stop_grace_period < 0:
        raise InvalidArgument("ContainerSpec: stop-grace-period cannot be negative")
    if spec.isolation not in ("", "default"):
        raise Unsupported(f"isolation {spec.isolation!r} is not supported on Linux")
    for config in spec.configs:
        if config.runtime is not None:
            raise Unsupported("configs for the runtime (credential specs) are not supported: give the config a File")
    check_targets("secret", [(ref.secret_name, ref.secret_id, ref.file) for ref in spec.secrets])
    check_targets("config", [(ref.config_name, ref.config_id, ref.file) for ref in spec.configs])


def check_targets(kind: str, references: Iterable[tuple[str, str, FileTarget | None]]) -> None:
    """References to secrets or configs are complete, and no two of them want the same file."""
    taken: dict[str, str] = {}
    for name, id, file in references:
        if not name or not id:
            raise InvalidArgument(f"malformed {kind} reference")
        if file is None or not file.name:
            raise InvalidArgument(f"malformed file based {kind} reference, no file target provided")
        if file.name in taken:
            raise InvalidArgument(
                f"{kind} references '{taken[file.name]}' and '{name}' have a conflicting target: '{file.name}'"
            )
        taken[file.name] = name


def _check_privileges(privileges: Privileges) -> None:
    if privileges.credential_spec is not None:
        raise Unsupported("credential specs are for Windows and not supported")
    if privileges.selinux_context is not None:
        raise Unsupported("SELinux contexts are not supported")


def _check_mounts(mounts: list[Mount]) -> None:
    targets: set[str] = set()
    for mount in mounts:
        _check_mount(mount)
        if mount.target in targets:
            raise InvalidArgument(f"ContainerSpec: duplicate mount point: {mount.target}")
        targets.add(mount.target)


def _check_mount(mount: Mount) -> None:
    if mount.type == "cluster" or mount.cluster_options is not None:
        raise Unsupported("cluster volumes (CSI) are not supported: use a volume, bind or tmpfs mount")
    if mount.type not in ("bind", "volume", "tmpfs"):
        raise Unsupported(f"mount type {mount.type!r} is not supported: use bind, volume or tmpfs")
    if not mount.target.startswith("/") and "{{" not in mount.target:
        raise InvalidArgument(f"invalid mount target {mount.target!r}: an absolute path is needed")
    if mount.type == "bind" and not mount.source.startswith("/"):
        raise InvalidArgument(f"invalid bind mount source {mount.source!r}: an absolute path is needed")
    if mount.type == "tmpfs" and mount.source:
        raise InvalidArgument("invalid tmpfs mount: it has no source")
    for type, options in (
        ("bind", mount.bind_options),
        ("volume", mount.volume_options),
        ("tmpfs", mount.tmpfs_options),
        ("image", mount.image_options),
    ):
        if options is not None and type != mount.type:
            raise InvalidArgument(f"invalid mount {mount.target}: {type} options on a mount of type {mount.type}")


def _check_health(health: HealthConfig) -> None:
    for name in ("interval", "timeout", "start_period", "start_interval"):
        value = getattr(health, name)
        if value < 0 or 0 < value < MILLISECOND:
            field = "".join(word.capitalize() for word in name.split("_"))
            raise InvalidArgument(f"ContainerSpec: {field} in HealthConfig cannot be less than one millisecond")
    if health.retries < 0:
        raise InvalidArgument("ContainerSpec: Retries in HealthConfig cannot be negative")
    if health.test and health.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(
            f"ContainerSpec: unknown type {health.test[0]!r} in HealthConfig: use NONE, CMD or CMD-SHELL"
        )
