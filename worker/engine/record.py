"""What is kept of a container: its record (what was asked for, completed) and its state (what happened to it).

Both are immutable and lie on disk (disk.py); a Container holds the present ones.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from common.model.container import ContainerConfig, EndpointSettings, HostConfig


class MountPoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mount of a container, parsed and completed. `type` is bind, volume or tmpfs.

    `source` is a bind's path on the host; `name` a volume's. `anonymous` volumes go with `docker rm -v`. `options` are a
    tmpfs's (mode=, size=, …). `mode` is what stood behind the second colon of `-v`, as inspect shows it. `create_source`: a
    bind's missing folder is made (`-v`), `from_mounts`: it came by HostConfig.Mounts (`--mount`).
    """

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    recursive: bool = True
    recursive_read_only: str = ""  # "", "off" or "force"
    anonymous: bool = False
    copy: bool = True
    subpath: str = ""
    options: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    driver_options: dict[str, str] = {}
    create_source: bool = False
    from_mounts: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A container as it was created. `image` is the user's word for it, `endpoints` are wishes by network name.

    `files`: a task's secrets and configs, mounted as `mounts` are, but shown nowhere.
    """

    id: str
    name: str
    created: datetime
    image: str
    image_id: str
    config: ContainerConfig
    host: HostConfig
    endpoints: dict[str, EndpointSettings] = {}
    mounts: tuple[MountPoint, ...] = ()
    files: tuple[MountPoint, ...] = ()

    @property
    def command(self) -> list[str]:
        """Entrypoint and command: what runs."""
        return [*_words(self.config.entrypoint), *_words(self.config.cmd)]


class HealthResult(msgspec.Struct, frozen=True):
    """One probe; `output` is cut at 4096 bytes."""

    start: datetime
    end: datetime
    exit_code: int
    output: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: starting, healthy or unhealthy; `log` holds the last five results."""

    status: str = "starting"
    failing_streak: int = 0
    log: tuple[HealthResult, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: created, running, paused, restarting, removing, exited or dead.

    `starting` is set on disk while a start is under way, so that a new daemon can undo it.
    """

    status: str = "created"
    starting: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    restart_count: int = 0
    manually_stopped: bool = False
    health: Health | None = None


def _words(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
