"""Creating a container: everything judged first, then made, then committed; what fails half way is undone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from common import ids
from common.errors import Conflict, NotFound
from common.model.container import ContainerConfig, HostConfig, NetworkingConfig
from common.model.shared import Mount
from worker.engine import cleanup
from worker.engine.container import Container
from worker.engine.merge import merge
from worker.engine.mounts import parse_files, parse_mounts
from worker.engine.networking import canonical
from worker.engine.parts import Parts
from worker.engine.record import MountPoint, Record, State
from worker.engine.together import both
from worker.engine.validate import complete_config, complete_host, endpoints
from worker.images.base import Image
from worker.images.syscalls import open_in_root

ANONYMOUS = "com.docker.volume.anonymous"


async def create(
    parts: Parts,
    name: str,
    config: ContainerConfig,
    host: HostConfig,
    networking: NetworkingConfig,
    files: Sequence[Mount] = (),
) -> tuple[Container, list[str]]:
    """The new container and warnings. Raises InvalidArgument, Unsupported, NotFound (image), Conflict (name)."""
    id = ids.hex_id()
    image = _image(parts, config.image)
    with parts.index.reserve(name or parts.index.free_name(), id) as reserved:
        record, warnings = _judge(parts, reserved, id, image, config, host, networking)
        record = msgspec.structs.replace(record, files=parse_files(files, record.mounts))
        container = Container(record, State(), parts.disk)
        try:
            await _make(parts, container, image)
        except BaseException:
            await asyncio.shield(cleanup.everything(parts, record, volumes=True))
            raise
        parts.index.add(container)
    parts.publish(container, "create")
    return container, warnings


def _image(parts: Parts, reference: str) -> Image | None:
    """None for a container that starts from nothing, where no image is named."""
    return parts.images.resolve(reference) if reference else None


def _judge(
    parts: Parts,
    name: str,
    id: str,
    image: Image | None,
    asked: ContainerConfig,
    host: HostConfig,
    networking: NetworkingConfig,
) -> tuple[Record, list[str]]:
    config = merge(asked, image.config if image else ContainerConfig())
    completed, warnings = complete_host(config, host, parts.settings)
    config = complete_config(config, completed, id)
    wanted = endpoints(networking, config, completed)
    record = Record(
        id=id,
        name=name,
        created=datetime.now(UTC),
        image=asked.image,
        image_id=image.id if image else "",
        config=config,
        host=completed,
        endpoints={canonical(network, parts.networks): settings for network, settings in wanted.items()},
        mounts=parse_mounts(config, completed, lambda ref: parts.index.get(ref).record.mounts),
    )
    return record, warnings


async def _make(parts: Parts, container: Container, image: Image | None) -> None:
    parts.disk.draft(container.record)
    await both(parts.images.prepare(container.id, image), _make_volumes(parts, container))
    if any(point.type == "volume" and point.copy for point in container.record.mounts):
        await _fill_volumes(parts, container)
    await parts.disk.commit(container.id)


async def _make_volumes(parts: Parts, container: Container) -> None:
    for point in container.record.mounts:
        if point.type == "volume":
            await _make_volume(parts, point)
            await parts.volumes.acquire(point.name, container.id)


async def _make_volume(parts: Parts, point: MountPoint) -> None:
    """An existing volume is taken as it is, unless the mount names driver options that must agree with its own."""
    if not point.anonymous and not point.driver_options:
        with suppress(NotFound):
            parts.volumes.get(point.name)
            return
    labels = {**point.labels, ANONYMOUS: ""} if point.anonymous else point.labels
    await parts.volumes.create(point.name, options=point.driver_options, labels=labels)


async def _fill_volumes(parts: Parts, container: Container) -> None:
    """Empty volumes begin with what the image has at their place."""
    root = await parts.images.mount(container.id)
    try:
        for point in container.record.mounts:
            wanted = point.type == "volume" and point.copy and not point.subpath
            if wanted and (source := _folder_inside(root, point.destination)) is not None:
                await parts.volumes.fill(point.name, source)
    finally:
        await parts.images.unmount(container.id)


def _folder_inside(root: Path, destination: str) -> Path | None:
    """The image's folder at `destination`, links resolved inside the image; None where there is none."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(top, destination, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    finally:
        os.close(top)
    try:
        return Path(os.readlink(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)


def rename(parts: Parts, container: Container, name: str) -> None:
    """Give a container another name. Raises InvalidArgument, Conflict."""
    name = name.removeprefix("/")
    if name == container.name:
        raise Conflict("Renaming a container with the same name as its current name", ("container", name))
    old = container.name
    with parts.index.reserve(name, container.id):
        container.set_record(name=name)
    parts.index.release_name(old)
    parts.networks.rename(container.id, name)
    parts.publish(container, "rename", {"oldName": f"/{old}"})
