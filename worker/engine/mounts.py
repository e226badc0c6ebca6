"""What a container is to see of the host, of volumes and of memory: parsed from -v, --mount, --volumes-from, --tmpfs, VOLUME.

Pure but for one look whether a bind's source exists. Making volumes and mounts is others' work (creation.py, mountplan.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from posixpath import normpath

import msgspec

from common import ids
from common.errors import InvalidArgument, Unsupported
from common.model.container import ContainerConfig, HostConfig
from common.model.shared import Mount
from worker.engine.record import MountPoint
from worker.engine.tmpfs import parse_options, sized_options

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_CONSISTENCIES = ("", "default", "consistent", "cached", "delegated")
_IGNORED = ("z", "Z", "consistent", "cached", "delegated", "default")  # labels of SELinux; hints for other systems


def parse_mounts(
    config: ContainerConfig,
    host: HostConfig,
    mounts_of: Callable[[str], Sequence[MountPoint]],
) -> tuple[MountPoint, ...]:
    """All mount points of a new container, by destination. `mounts_of`: those of another container, by name.

    Later sources give way to earlier ones only where they are implicit (an image's VOLUME, --volumes-from); two explicit ones
    for one destination are an InvalidArgument.
    """
    explicit = [
        *(_parse_bind(text) for text in host.binds or ()),
        *(_parse_mount(mount) for mount in host.mounts),
        *(_parse_tmpfs(destination, options) for destination, options in host.tmpfs.items()),
    ]
    _refuse_duplicates(explicit)
    implicit = [*_volumes_from(host.volumes_from or (), mounts_of), *_anonymous(config.volumes or {})]
    points = {point.destination: point for point in [*reversed(implicit), *explicit]}
    return tuple(sorted(points.values(), key=lambda p: p.destination))


def parse_files(files: Iterable[Mount], mounts: Sequence[MountPoint]) -> tuple[MountPoint, ...]:
    """A task's files, which may not lie where its `mounts` are. Raises InvalidArgument."""
    points = tuple(_parse_mount(file) for file in files)
    _refuse_duplicates([*mounts, *points])
    return points


def anonymous_volume(destination: str, **changes: object) -> MountPoint:
    """A new volume with a random name, which `docker rm -v` removes."""
    values = {"type": "volume", "destination": destination, "driver": "local", "anonymous": True, "name": ids.hex_id()}
    return MountPoint(**{**values, **changes})  # type: ignore[arg-type]


def _parse_bind(text: str) -> MountPoint:
    """SOURCE:DESTINATION[:MODE], as `docker run -v` takes it; DESTINATION alone is an anonymous volume."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return anonymous_volume(check_destination(parts[0]))
    source, destination = parts[0], check_destination(parts[1])
    mode = parts[2] if len(parts) == 3 else ""
    options = _parse_mode(mode)
    if source.startswith("/"):
        return _plain_bind(source, destination, mode, options)
    if _propagation(options):
        raise InvalidArgument(f"invalid volume specification: '{text}': a volume takes no propagation mode")
    return MountPoint(
        type="volume",
        name=_volume_name(source),
        destination=destination,
        driver="local",
        mode=mode or "z",
        rw="ro" not in options,
        copy="nocopy" not in options,
    )


def _plain_bind(source: str, destination: str, mode: str, options: list[str]) -> MountPoint:
    return MountPoint(
        type="bind",
        source=normpath(source),
        destination=destination,
        mode=mode,
        rw="ro" not in options,
        propagation=_propagation(options) or "rprivate",
        create_source=True,
    )


def _volume_name(source: str) -> str:
    try:
        return ids.check_name("volume", source)
    except InvalidArgument:
        raise InvalidArgument(
            f'"{source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
            "If you intended to pass a host directory, use absolute path",
            ("volume", source),
        ) from None


def _parse_mode(mode: str) -> list[str]:
    options = mode.split(",") if mode else []
    for option in options:
        if option not in ("ro", "rw", "nocopy", *_PROPAGATIONS, *_IGNORED):
            raise InvalidArgument(f"invalid mode: {mode}")
    if {"ro", "rw"} <= set(options) or sum(option in _PROPAGATIONS for option in options) > 1:
        raise InvalidArgument(f"invalid mode: {mode}")
    return options


def _propagation(options: Iterable[str]) -> str:
    return next((option for option in options if option in _PROPAGATIONS), "")


def check_destination(path: str) -> str:
    """A clean absolute path inside the container. Raises InvalidArgument."""
    if not path.startswith("/") or "\0" in path:
        raise InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")
    clean = "/" + normpath(path).lstrip("/")
    if clean == "/":
        raise InvalidArgument("invalid specification: destination can't be '/'")
    return clean


def _parse_mount(mount: Mount) -> MountPoint:
    parsers = {"bind": _parse_bind_mount, "volume": _parse_volume_mount, "tmpfs": _parse_tmpfs_mount}
    kind = mount.type or "volume"
    if kind in ("image", "npipe", "cluster"):
        raise Unsupported(f"mounts of type {kind} are not supported: use bind, volume or tmpfs")
    if kind not in parsers:
        raise _invalid(mount, f'mount type unknown: "{kind}"')
    if not mount.target:
        raise _invalid(mount, "field Target must not be empty")
    if mount.consistency not in _CONSISTENCIES:
        raise _invalid(mount, f'invalid consistency "{mount.consistency}"')
    own = {"bind": "bind_options", "volume": "volume_options", "tmpfs": "tmpfs_options"}[kind]
    for field in ("bind_options", "volume_options", "tmpfs_options", "image_options", "cluster_options"):
        if field != own and getattr(mount, field) is not None:
            raise _invalid(mount, f"field {field.title().replace('_', '')} must not be specified")
    return parsers[kind](mount)


def _invalid(mount: Mount, reason: str) -> InvalidArgument:
    return InvalidArgument(f'invalid mount config for type "{mount.type or "volume"}": {reason}')


def _parse_bind_mount(mount: Mount) -> MountPoint:
    options = mount.bind_options
    if not mount.source:
        raise _invalid(mount, "field Source must not be empty")
    if not mount.source.startswith("/"):
        raise _invalid(mount, f"invalid mount path: '{mount.source}' mount path must be absolute")
    create = options is not None and options.create_mountpoint
    if not create and not os.path.exists(mount.source):
        raise _invalid(mount, f"bind source path does not exist: {mount.source}")
    propagation = (options.propagation if options else "") or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise _invalid(mount, f"invalid propagation mode: {propagation}")
    return MountPoint(
        type="bind",
        source=normpath(mount.source),
        destination=check_destination(mount.target),
        rw=not mount.read_only,
        propagation=propagation,
        recursive=not (options and options.non_recursive),
        recursive_read_only=_recursive_read_only(mount),
        create_source=create,
        from_mounts=True,
    )


def _recursive_read_only(mount: Mount) -> str:
    options = mount.bind_options
    if options is None:
        return ""
    if options.read_only_force_recursive and (not mount.read_only or options.read_only_non_recursive):
        raise _invalid(mount, "ReadOnlyForceRecursive needs a read-only mount and excludes ReadOnlyNonRecursive")
    return "force" if options.read_only_force_recursive else "off" if options.read_only_non_recursive else ""


def _parse_volume_mount(mount: Mount) -> MountPoint:
    options = mount.volume_options
    driver = options.driver_config if options and options.driver_config else None
    if driver and driver.name not in ("", "local"):
        raise Unsupported(f"volume driver {driver.name!r} is not supported: use local")
    subpath = options.subpath if options else ""
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise _invalid(mount, f"subpath {subpath!r} must be a relative path within the volume")
    values = {
        "rw": not mount.read_only,
        "mode": "z",
        "copy": not (options and options.no_copy),
        "subpath": subpath,
        "labels": options.labels if options else {},
        "driver_options": driver.options if driver else {},
        "from_mounts": True,
    }
    destination = check_destination(mount.target)
    if not mount.source:
        if subpath:
            raise _invalid(mount, "must not set Subpath when using anonymous volumes")
        return anonymous_volume(destination, **values)
    return MountPoint(
        type="volume", name=_volume_name(mount.source), destination=destination, driver="local", **values  # type: ignore[arg-type]
    )  # fmt: skip


def _parse_tmpfs_mount(mount: Mount) -> MountPoint:
    if mount.source:
        raise _invalid(mount, "field Source must not be specified")
    return MountPoint(
        type="tmpfs",
        destination=check_destination(mount.target),
        rw=not mount.read_only,
        options=sized_options(mount.tmpfs_options, read_only=mount.read_only),
        from_mounts=True,
    )


def _parse_tmpfs(destination: str, text: str) -> MountPoint:
    options = parse_options(text)
    return MountPoint(type="tmpfs", destination=check_destination(destination), options=options, rw="ro" not in options)


def _volumes_from(texts: Iterable[str], mounts_of: Callable[[str], Sequence[MountPoint]]) -> Iterator[MountPoint]:
    """CONTAINER[:MODE]: its binds and volumes, writable there and here unless MODE says ro."""
    for text in texts:
        container, _, mode = text.partition(":")
        if not container or mode not in ("", "ro", "rw", "z", "Z"):
            raise InvalidArgument(f"invalid volumes-from specification: '{text}'")
        for point in mounts_of(container):
            if point.type != "tmpfs":
                yield msgspec.structs.replace(point, anonymous=False, copy=False, rw=point.rw and mode != "ro")


def _anonymous(volumes: Iterable[str]) -> Iterator[MountPoint]:
    return (anonymous_volume(check_destination(destination)) for destination in volumes)


def _refuse_duplicates(points: Iterable[MountPoint]) -> None:
    seen = set()
    for point in points:
        if point.destination in seen:
            raise InvalidArgument(f"Duplicate mount point: {point.destination}")
        seen.add(point.destination)
