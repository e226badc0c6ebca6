"""Where in etcd one cluster's keys lie, and what stands in them.

    PREFIX:log/entry/EPOCH/NAME    one frame of entries, written once by one txn
    PREFIX:log/snapshot            the pointer: which snapshot holds, and up to where
    PREFIX:head                    written with every frame: its mod_revision is the newest frame's
    PREFIX:parts/EPOCH/NAME/N      parts of an entry that is too large for one txn
    PREFIX:snapshots/ID/N          parts of a snapshot
    PREFIX:election/LEASE          one candidate each; the oldest leads
    PREFIX:members/NODE            the managers that belong to the cluster: where each listens

A prefix holds no colon, so no cluster's keys lie among another's, whatever they are named. The epoch is the pointer's
mod_revision, 16 hex digits: keys of one epoch are one range.
"""

from __future__ import annotations

import msgspec

from manager.etcd.wire import after


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot that stands for all entries up to `index`, the last of which was put at `revision`.

    `previous` is the epoch before: its frames are still there. A pointer without an `id` has no snapshot: the log
    begins with nothing. `origin`: the token of the move by which the state came from another log; while it is still on
    its way, it is `arriving`.
    """

    index: int = 0
    revision: int = 0
    previous: int = 0
    id: str = ""
    parts: int = 0
    digest: str = ""  # sha256 of the whole snapshot
    origin: str = ""
    arriving: bool = False
    format: int = 1


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The value of an entry key: several entries, or with `parts` one that lies in so many parts."""

    entries: list[bytes]
    parts: int = 0


class Keys:
    def __init__(self, prefix: str) -> None:
        base = prefix.rstrip("/").encode()
        self.all = base + b":"
        self.log = base + b":log/"
        self.entries = base + b":log/entry/"
        self.pointer = base + b":log/snapshot"
        self.head = base + b":head"
        self.parts = base + b":parts/"
        self.snapshots = base + b":snapshots/"
        self.election = base + b":election/"
        self.members = base + b":members/"

    def epoch(self, under: bytes, epoch: int) -> bytes:
        """What the keys of `epoch` begin with, below `entries` or `parts`."""
        return under + b"%016x/" % epoch

    def entry(self, epoch: int, name: bytes) -> bytes:
        return self.epoch(self.entries, epoch) + name

    def parts_of(self, epoch: int, name: bytes) -> bytes:
        return self.epoch(self.parts, epoch) + name + b"/"

    def snapshot(self, id: str) -> bytes:
        return self.snapshots + id.encode() + b"/"


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def part(under: bytes, number: int) -> bytes:
    return under + b"%08d" % number


def below(prefix: bytes) -> tuple[bytes, bytes]:
    """The range of all keys below `prefix`."""
    return prefix, after(prefix)
