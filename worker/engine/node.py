"""The parts of one worker, put together once by worker/daemon.py and handed to everything that serves a request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from common.settings import Settings
from worker.engine.events import EventBus

if TYPE_CHECKING:
    from worker.distribution.distribution import Distribution
    from worker.engine.containers import Containers
    from worker.engine.execs import Execs
    from worker.images.store import LocalImages
    from worker.network.networks import LocalNetworks
    from worker.runtime.conmon import ConmonRuntime
    from worker.volumes.local import LocalVolumes


@dataclass(frozen=True)
class Engine:
    """The engine of one node. Each part is the real implementation of the boundary in its package's base.py."""

    settings: Settings
    events: EventBus
    runtime: ConmonRuntime
    images: LocalImages
    volumes: LocalVolumes
    networks: LocalNetworks
    containers: Containers
    execs: Execs

    @cached_property
    def distribution(self) -> Distribution:
        """Made by the first who needs a registry: a node that has its images needs no memory for it."""
        from worker.distribution.distribution import Distribution

        return Distribution(self.settings, self.images)
