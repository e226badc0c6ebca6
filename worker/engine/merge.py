"""A container's config completed by its image's, as Docker merges them."""

from __future__ import annotations

from typing import Any

import msgspec

from common.model.container import ContainerConfig
from common.model.shared import HealthConfig

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def merge(user: ContainerConfig, image: ContainerConfig) -> ContainerConfig:
    """The user's words win. The image's command counts only where the user gave neither command nor entrypoint."""
    changes: dict[str, Any] = {
        "user": user.user or image.user,
        "exposed_ports": {**image.exposed_ports, **user.exposed_ports},
        "env": _env(user.env, image.env),
        "labels": {**image.labels, **user.labels},
        "working_dir": user.working_dir or image.working_dir,
        "volumes": {**(image.volumes or {}), **(user.volumes or {})} or None,
        "stop_signal": user.stop_signal or image.stop_signal,
        "stop_timeout": image.stop_timeout if user.stop_timeout is None else user.stop_timeout,
        "shell": user.shell or image.shell,
        "healthcheck": _health(user.healthcheck, image.healthcheck),
    }
    if not user.entrypoint:
        if not user.cmd:
            changes["cmd"] = image.cmd
            changes["args_escaped"] = image.args_escaped
        if user.entrypoint is None:
            changes["entrypoint"] = image.entrypoint
    elif user.entrypoint == [""]:
        changes["entrypoint"] = None
    merged = msgspec.structs.replace(user, **changes)
    return msgspec.structs.replace(merged, entrypoint=merged.entrypoint or None)


def _env(user: list[str], image: list[str]) -> list[str]:
    """The user's variables, then those of the image that the user did not name."""
    named = {text.partition("=")[0] for text in user}
    return [*user, *(text for text in image if text.partition("=")[0] not in named)]


def _health(user: HealthConfig | None, image: HealthConfig | None) -> HealthConfig | None:
    if user is None or image is None:
        return user or image
    if user.test == ["NONE"]:
        return user
    fields = HealthConfig.__struct_fields__
    return HealthConfig(**{field: getattr(user, field) or getattr(image, field) for field in fields})


def environment(config: ContainerConfig, hostname: str) -> list[str]:
    """The first process's environment: PATH, HOSTNAME, TERM where there is a terminal, then the config's; HOME is the runtime's.

    A variable without "=" is taken away, as in Docker.
    """
    found = dict(text.partition("=")[::2] for text in (DEFAULT_PATH, f"HOSTNAME={hostname}"))
    if config.tty:
        found["TERM"] = "xterm"
    for text in config.env:
        name, equals, value = text.partition("=")
        if equals:
            found[name] = value
        else:
            found.pop(name, None)
    return [f"{name}={value}" for name, value in found.items()]
