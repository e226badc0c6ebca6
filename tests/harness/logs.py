"""Logs for the conformance suites: each kind can be opened again and again on the same durable data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.errors import Conflict
from manager.etcd.log import EtcdLog
from manager.etcd.log import Options as EtcdOptions
from manager.raft.log import RaftLog
from manager.raft.node import Options
from manager.store.log import Log
from manager.store.memory_log import MemoryLog
from tests.harness.etcd import shared

KINDS = ("memory", "raft", "etcd")


def opener(kind: str, folder: Path, snapshot_every: int = 1000) -> Callable[[], Log]:
    """A function that opens the log of `kind` in `folder`."""
    if kind == "raft":
        return lambda: raft(folder, snapshot_every)
    if kind == "etcd":
        return lambda: etcd_log(shared().urls, str(folder), snapshot_every=snapshot_every)
    log = MemoryLog(snapshot_every=snapshot_every)
    return lambda: log


def raft(folder: Path, snapshot_every: int = 1000) -> RaftLog:
    return RaftLog(folder, "one", options=Options(tick=0.01, snapshot_every=snapshot_every, keep=3))


def etcd_log(urls: Sequence[str], prefix: str, member: str = "one", **options: Any) -> EtcdLog:
    return EtcdLog(urls, prefix, member, options=EtcdOptions(**({"ttl": 2} | options)))


class Recorder:
    """A machine that remembers what it was given, and refuses what begins with "bad"."""

    def __init__(self) -> None:
        self.applied: list[tuple[int, bytes]] = []
        self.restored = 0

    def apply(self, index: int, data: bytes) -> Conflict | None:
        if data.startswith(b"bad"):
            return Conflict(f"{data.decode()} is refused")
        self.applied.append((index, data))
        return None

    def snapshot(self) -> Callable[[], bytes]:
        state = repr(self.applied).encode()
        return lambda: state

    def restore(self, index: int, data: bytes) -> None:
        self.applied = eval(data)
        self.restored = index

    @property
    def data(self) -> list[bytes]:
        return [data for _, data in self.applied]
