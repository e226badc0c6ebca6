"""New images out of other things than image archives: a tar of a root file system (import) and a container (commit)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from common.model.container import ContainerConfig
from worker import host
from worker.images.catalog import Stored
from worker.images.config import History, ImageConfig, RootFS, image_config, now, write_config
from worker.images.dockerfile_changes import apply_changes
from worker.images.parts import Parts
from worker.images.pins import Hold


async def import_tar(
    parts: Parts,
    hold: Hold,
    body: AsyncIterator[bytes],
    *,
    changes: Sequence[str],
    message: str,
) -> Stored:
    """An image of one layer, with a config made of `changes`. Raises InvalidArgument where the body is no tar."""
    config = apply_changes(ContainerConfig(), changes)
    layer = await parts.layers.extract(hold, "", body)
    created = now()
    image = ImageConfig(
        architecture=host.architecture(),
        created=created,
        config=config,
        rootfs=RootFS(diff_ids=[layer.diff_id]),
        history=[History(created=created, comment=message)],
        comment=message,
    )
    return await parts.add(hold, write_config(image), [layer])


async def commit_container(
    parts: Parts, hold: Hold, container: str, config: ContainerConfig, *, comment: str, author: str
) -> Stored:
    """An image one layer above the container's own; `config` is complete already."""
    record = parts.roots.record(container)
    hold.add(*record.chains)
    base = parts.catalog[record.image].config if record.image in parts.catalog else None
    below = [parts.layers.get(chain) for chain in record.chains]
    layer = await parts.layers.commit(hold, record.chains[-1] if record.chains else "", parts.roots.upper(container))
    created = now()
    command = " ".join(config.cmd) if isinstance(config.cmd, list) else config.cmd or ""
    old = base.history if base else [History(comment="unknown") for _ in below]
    image = ImageConfig(
        architecture=(base and base.architecture) or host.architecture(),
        variant=base.variant if base else "",
        created=created,
        author=author,
        comment=comment,
        config=image_config(config),
        rootfs=RootFS(diff_ids=[*(one.diff_id for one in below), layer.diff_id]),
        history=[*old, History(created=created, created_by=command, author=author, comment=comment)],
    )
    parent = record.image if base else ""
    return await parts.add(hold, write_config(image), [*below, layer], parent=parent)


def merge_config(
    container: ContainerConfig, changes: Sequence[str], override: ContainerConfig | None
) -> ContainerConfig:
    """What `docker commit` puts into the image: the container's config, what the request overrides, then its changes."""
    merged = container
    if override is not None:
        empty = ContainerConfig()
        given = {
            name: value
            for name in override.__struct_fields__
            if (value := getattr(override, name)) != getattr(empty, name)
        }
        merged = msgspec.structs.replace(container, **given)
    return apply_changes(merged, changes)
