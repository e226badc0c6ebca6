"""Secrets and configs as files: one tmpfs per task below the state folder, bound file by file into its container.

The data never touches a disk. The tmpfs outlives the daemon, as its container does, and goes with the task.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import InvalidArgument, NotFound
from common.model import Config, ContainerSpec, NodeDescription, Secret, Task
from common.model.service import FileTarget
from common.model.shared import Mount
from common.wire import Assignments
from worker.images.syscalls import MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, unmount
from worker.session.templates import context
from worker.session.translate import container_spec

SECRETS = "/run/secrets"


@dataclass(frozen=True)
class File:
    """One file of a task: its place in the container, its owner and mode, its content."""

    target: FileTarget
    path: str
    data: bytes


class TaskFiles:
    """`folder` holds one mount point per task that has files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, task: Task, assignments: Assignments, node: NodeDescription) -> list[Mount]:
        """Make the task's files; return their mounts. Blocks shortly. Raises NotFound, InvalidArgument."""
        files = list(task_files(task, assignments, node))
        if not files:
            return []
        place = self._folder / task.id
        self.remove(task.id)
        place.mkdir(parents=True, mode=0o700)
        mount("tmpfs", str(place), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700")
        return [_write(place / str(number), file) for number, file in enumerate(files)]

    def remove(self, task_id: str) -> None:
        """Idempotent; also for a task that never had files."""
        place = self._folder / task_id
        while os.path.ismount(place):
            unmount(str(place), MNT_DETACH)
        if place.exists():
            shutil.rmtree(place)

    def tasks(self) -> list[str]:
        """The tasks that have files now."""
        return [path.name for path in self._folder.iterdir()] if self._folder.exists() else []


def _write(path: Path, file: File) -> Mount:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, file.data)
        os.fchown(fd, _owner(file.target.uid), _owner(file.target.gid))
        os.fchmod(fd, file.target.mode & 0o7777)
    finally:
        os.close(fd)
    return Mount(type="bind", source=str(path), target=file.path, read_only=True)


def _owner(text: str) -> int:
    if not text.isdigit():
        raise InvalidArgument(f"owner {text!r} of a secret or config must be a number")
    return int(text)


def task_files(task: Task, assignments: Assignments, node: NodeDescription) -> Iterator[File]:
    """Pure: the files that the task's spec asks for, templates filled in."""
    spec = container_spec(task)
    secrets = {
        ref.secret_id: _found(assignments.secrets, ref.secret_id, "secret", ref.secret_name) for ref in spec.secrets
    }
    configs = {
        ref.config_id: _found(assignments.configs, ref.config_id, "config", ref.config_name) for ref in spec.configs
    }
    render = _Renderer(task, spec, node, secrets, configs)
    for ref in spec.secrets:
        target = ref.file or FileTarget(name=ref.secret_name)
        yield File(target, os.path.join(SECRETS, target.name), render.data(secrets[ref.secret_id]))
    for config in spec.configs:
        if config.runtime is not None:
            continue
        target = config.file or FileTarget(name=config.config_name)
        yield File(target, os.path.join("/", target.name), render.data(configs[config.config_id]))


def _found(assigned: Mapping[str, Secret | Config], id: str, kind: str, name: str) -> Secret | Config:
    if id not in assigned:
        raise NotFound(f"{kind} {name or id} is not assigned to this node", (kind, name or id))
    return assigned[id]


@dataclass(frozen=True)
class _Renderer:
    """Fills in the templates of one task's secrets and configs, which may include each other by target name."""

    task: Task
    spec: ContainerSpec
    node: NodeDescription
    secrets: Mapping[str, Secret | Config]
    configs: Mapping[str, Secret | Config]

    def data(self, file: Secret | Config) -> bytes:
        templating = file.spec.templating
        if templating is None or not templating.name:
            return file.spec.data
        if templating.name != "golang":
            raise InvalidArgument(f"template driver {templating.name!r} is not known: use golang")
        functions = {"env": self._env, "secret": self._secret, "config": self._config}
        return context(self.task, self.node, functions).expand(_text(file)).encode()

    def _env(self, name: str) -> str:
        prefix = name + "="
        return next((line.removeprefix(prefix) for line in self.spec.env if line.startswith(prefix)), "")

    def _secret(self, target: str) -> str:
        ids = (ref.secret_id for ref in self.spec.secrets if ref.file is not None and ref.file.name == target)
        return self._plain(self.secrets, next(ids, ""), "secret", target)

    def _config(self, target: str) -> str:
        ids = (ref.config_id for ref in self.spec.configs if ref.file is not None and ref.file.name == target)
        return self._plain(self.configs, next(ids, ""), "config", target)

    def _plain(self, files: Mapping[str, Secret | Config], id: str, kind: str, target: str) -> str:
        return _text(_found(files, id, kind, target))


def _text(file: Secret | Config) -> str:
    try:
        return file.spec.data.decode()
    except UnicodeDecodeError:
        raise InvalidArgument(f"{file.spec.name} is a template, or part of one, but no UTF-8 text") from None
