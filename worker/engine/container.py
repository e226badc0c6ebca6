"""One container in memory: its record and state, and what waits for it. What happens to it is lifecycle's modules' work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import structlog

from common.model.container import ContainerConfig, HostConfig
from worker.engine.disk import Disk
from worker.engine.record import Health, Record, State
from worker.engine.signals import Signal
from worker.runtime.waiters import AttachWaiters

log = structlog.get_logger()

TASK_LABEL = "com.docker.swarm.task.id"  # by which Docker's clients, and a new daemon, find a task's container


class Container:
    """Changes go through `set_state` and `set_record`, which keep the disk in step.

    `lock` is held while the container changes hands: start, the end of a run, removal. `ended` fires when a run is over and
    cleaned up, `removed` when the container is gone. `active` lasts from a start until that run is cleaned up. `no_restart` ends
    a restart policy's work until the next start by a user; `restart_delay` is its latest pause in seconds. `cached_summary` holds
    what a list shows of record and state.
    """

    def __init__(self, record: Record, state: State, disk: Disk) -> None:
        self.record = record
        self.state = state
        self._disk = disk
        self.bundle: Path = disk.bundle(record.id)
        self.log_path: Path = disk.log(record.id)
        self.lock = asyncio.Lock()
        self.attach_waiters = AttachWaiters()
        self.ended: Signal[State] = Signal()
        self.removed: Signal[State] = Signal()
        self.no_restart = asyncio.Event()
        self.active = False
        self.removing = False
        self.restart_delay = 0.0
        self.cached_summary: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def config(self) -> ContainerConfig:
        """The user's config merged with the image's."""
        return self.record.config

    @property
    def host(self) -> HostConfig:
        return self.record.host

    @property
    def labels(self) -> dict[str, str]:
        return self.record.config.labels

    @property
    def running(self) -> bool:
        """It has processes, be they paused."""
        return self.state.status in ("running", "paused")

    @property
    def paused(self) -> bool:
        return self.state.status == "paused"

    @property
    def restarting(self) -> bool:
        return self.state.status == "restarting"

    @property
    def pid(self) -> int:
        """The first process's id on the host, 0 where none runs."""
        return self.state.pid

    @property
    def attributes(self) -> dict[str, str]:
        """What every event about the container carries."""
        return {**self.labels, "image": self.record.image, "name": self.name}

    def set_state(self, **changes: Any) -> None:
        self.state = self.state_with(**changes)
        self.cached_summary = None
        self._save_state()

    def state_with(self, **changes: Any) -> State:
        return msgspec.structs.replace(self.state, **changes)

    def note_health(self, health: Health) -> None:
        """Only a change of the status is worth a write."""
        changed = self.state.health is None or self.state.health.status != health.status
        self.state = self.state_with(health=health)
        if changed:
            self.cached_summary = None
            self._save_state()

    def _save_state(self) -> None:
        """A full disk must not hold up what has happened: a new daemon finds most of it by looking."""
        try:
            self._disk.save_state(self.id, self.state)
        except OSError as error:
            log.warning("the state of a container is not kept", container=self.id, error=str(error))

    def set_record(self, **changes: Any) -> None:
        record = msgspec.structs.replace(self.record, **changes)
        self._disk.save(record)
        self.record = record
        self.cached_summary = None
