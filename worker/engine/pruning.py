"""`docker container prune`: stopped containers go, as far as filters allow."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import Conflict, NotFound
from common.filters import Filters
from common.moments import moment
from worker.engine.container import Container
from worker.engine.parts import Parts
from worker.engine.removal import remove

FILTERS = ("until", "label", "label!")


async def prune(parts: Parts, containers: Sequence[Container], filters: Filters) -> tuple[list[str], int]:
    """The ids of those that went, and the bytes of their writable layers."""
    limits = [moment(text) for text in filters.values("until")]
    gone, freed = [], 0
    for container in containers:
        created = container.record.created.timestamp() * 1e9
        if _stopped(container) and filters.labels(container.labels) and all(created < limit for limit in limits):
            try:
                size = (await parts.images.usage(container.id))[0]
                await remove(parts, container)
            except (Conflict, NotFound):
                continue  # started or removed by somebody else meanwhile
            gone.append(container.id)
            freed += size
    return gone, freed


def _stopped(container: Container) -> bool:
    return container.state.status in ("created", "exited", "dead") and not container.active and not container.removing
