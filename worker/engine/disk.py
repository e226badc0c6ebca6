"""Containers on disk: one folder each below the root folder, its record durable, its state only as durable as the machine.

The record's file name says how far the container came:

    draft.json         half created: to be undone, with its anonymous volumes
    container.json     exists
    removing.json      half removed: to be finished, its volumes stay
    removing-all.json  half removed: to be finished, with its anonymous volumes

A power cut may take the latest state.json with it, never a record: after one, nothing runs any more anyway.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from common.durable import sync_folder, write_file
from common.settings import Settings
from worker.engine.record import Record, State

_RECORD = "container.json"
_DRAFT = "draft.json"
_REMOVING, _REMOVING_ALL = "removing.json", "removing-all.json"
_STATE = "state.json"

log = structlog.get_logger()


class Remains(NamedTuple):
    """What is left of a container that half exists; no record where only folders are. `volumes`: anonymous ones go, too."""

    id: str
    record: Record | None = None
    volumes: bool = False


class Disk:
    """The folders of all containers: `root/containers/<id>` is durable, `state/containers/<id>` (the bundle) is not."""

    def __init__(self, settings: Settings) -> None:
        self._durable = settings.root / "containers"
        self._bundles = settings.state / "containers"

    def make_folders(self) -> None:
        for folder in (self._durable, self._bundles):
            folder.mkdir(mode=0o710, parents=True, exist_ok=True)

    def folder(self, id: str) -> Path:
        return self._durable / id

    def bundle(self, id: str) -> Path:
        return self._bundles / id

    def log(self, id: str) -> Path:
        return self._durable / id / f"{id}-json.log"

    def draft(self, record: Record) -> None:
        """Note what is about to be created, before anything of it is."""
        folder = self.folder(record.id)
        folder.mkdir(mode=0o710)
        write_file(folder / _DRAFT, msgspec.json.encode(record), durable=False)

    async def commit(self, id: str) -> None:
        """From now on the container exists, whatever happens."""
        await asyncio.to_thread(self._commit, self.folder(id))

    def _commit(self, folder: Path) -> None:
        fd = os.open(folder / _DRAFT, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        (folder / _DRAFT).rename(folder / _RECORD)
        sync_folder(folder)
        sync_folder(folder.parent)

    def save(self, record: Record) -> None:
        write_file(self.folder(record.id) / _RECORD, msgspec.json.encode(record))

    def save_state(self, id: str, state: State) -> None:
        write_file(self.folder(id) / _STATE, msgspec.json.encode(state), durable=False)

    def mark_removing(self, id: str, *, volumes: bool) -> None:
        """From now on the container is gone, and what is left of it is to be taken away. Idempotent."""
        with suppress(FileNotFoundError):
            (self.folder(id) / _RECORD).rename(self.folder(id) / (_REMOVING_ALL if volumes else _REMOVING))

    def remove(self, id: str) -> None:
        shutil.rmtree(self.bundle(id), ignore_errors=True)
        shutil.rmtree(self.folder(id), ignore_errors=True)

    def existing(self) -> Iterator[tuple[Record, State]]:
        """All containers that were created and not removed. One whose record cannot be read is left alone, loudly."""
        for folder in self._folders():
            if (folder / _RECORD).exists():
                try:
                    record = msgspec.json.decode((folder / _RECORD).read_bytes(), type=Record)
                except msgspec.MsgspecError as error:
                    log.error("the record of a container cannot be read", file=str(folder / _RECORD), error=str(error))
                else:
                    yield record, _load_state(folder / _STATE)

    def remains(self) -> Iterator[Remains]:
        """What is half created, half removed or only a bundle."""
        durable = {folder.name for folder in self._folders()}
        for folder in self._folders():
            if not (folder / _RECORD).exists():
                yield _load_remains(folder)
        for bundle in sorted(self._bundles.iterdir()):
            if bundle.name not in durable:
                yield Remains(bundle.name)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._durable.iterdir() if path.is_dir())


def _load_remains(folder: Path) -> Remains:
    for name in (_REMOVING, _REMOVING_ALL, _DRAFT):
        try:
            record = msgspec.json.decode((folder / name).read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.MsgspecError):
            continue
        return Remains(folder.name, record, volumes=name != _REMOVING)
    return Remains(folder.name)


def _load_state(path: Path) -> State:
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (FileNotFoundError, msgspec.MsgspecError):
        return State()
