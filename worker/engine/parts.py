"""What the modules of a container's life share: the node's other parts and the containers themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.settings import Settings
from worker.engine.background import Background
from worker.engine.container import Container
from worker.engine.disk import Disk
from worker.engine.events import EventBus
from worker.engine.index import Index
from worker.images.base import ImageStore
from worker.network.base import Networks
from worker.volumes.base import Volumes

if TYPE_CHECKING:
    from worker.runtime.conmon import ConmonRuntime


@dataclass(frozen=True)
class Parts:
    settings: Settings
    events: EventBus
    runtime: ConmonRuntime
    images: ImageStore
    volumes: Volumes
    networks: Networks
    index: Index
    disk: Disk
    background: Background

    def publish(self, container: Container, action: str, attributes: Mapping[str, str] | None = None) -> None:
        """An event about a container, with the attributes that all of them carry."""
        self.events.publish("container", action, container.id, {**container.attributes, **(attributes or {})})
