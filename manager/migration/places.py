"""Where this manager's state lies now, once the cluster moved: a small file beside the identity, which overrides the settings."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from common.durable import write_file
from common.settings import Settings
from common.store_address import ETCD
from manager.store.move import Move

FILE = Path("swarm") / "store"


class Place(msgspec.Struct, frozen=True):
    """`store` as in the settings, and for etcd the `prefix`; `number` grows with the cluster's moves."""

    store: str
    prefix: str = ""
    number: int = 0


def present_place(settings: Settings) -> Place:
    path = settings.root / FILE
    if not path.exists():
        return Place(settings.store, settings.store_prefix if settings.store.startswith(ETCD) else "")
    return msgspec.json.decode(path.read_bytes(), type=Place)


def placed(settings: Settings) -> Settings:
    """The settings with the store that holds now."""
    place = present_place(settings)
    return replace(settings, store=place.store, store_prefix=place.prefix or settings.store_prefix)


def place_of(move: Move) -> Place:
    return Place(move.store, move.prefix, move.number)


def note_place(root: Path, place: Place) -> None:
    """Durable when this returns."""
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(path, msgspec.json.encode(place))
