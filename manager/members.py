"""The managers among themselves: the leader keeps the consensus group in line with the nodes' roles, and tells of both.

Owns `Node.manager_status`. A node whose role is no longer manager leaves the group; a manager that died leaves it once
another one has taken its place. Becoming a member is the joining manager's own request (manager/raft/joining.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import structlog
from msgspec.structs import replace

from common.errors import ShoalError, Unsupported, VersionConflict
from common.model import Node
from common.model.node import ManagerStatus
from manager.raft.membership import Member
from manager.store.base import Put, Store, View

log = structlog.get_logger()
PERIOD = 1.0  # seconds between two looks at the group
DEAD = 30.0  # seconds after which a manager that does not answer may be replaced, by default


class Group(Protocol):
    """The consensus group, as its leader sees it (manager/raft/log.py)."""

    def members(self) -> Sequence[Member]: ...

    async def remove(self, id: str) -> None:
        """Let the member go; the leader itself hands over first. Raises Unavailable where that would cost the quorum."""


class Alone:
    """The group of a manager whose log knows no others."""

    def __init__(self, id: str) -> None:
        self._id = id

    def members(self) -> Sequence[Member]:
        return [Member(self._id, "", voter=True, leader=True, reachable=True)]

    async def remove(self, id: str) -> None:
        raise Unsupported("this manager keeps its state in memory, so it stays alone")


class Watch:
    """Since when members are silent, and since when they are there, on a clock in seconds. For one leadership."""

    def __init__(self, dead: float = DEAD) -> None:
        self._dead = dead
        self._silent: dict[str, float] = {}
        self._came: dict[str, float] = {}
        self._started = False

    def look(self, members: Iterable[Member], now: float) -> None:
        for member in members:
            if member.voter:
                self._came.setdefault(member.id, now if self._started else float("-inf"))
            if member.reachable:
                self._silent.pop(member.id, None)
            else:
                self._silent.setdefault(member.id, now)
        self._started = True

    def replaced(self, members: Sequence[Member], now: float) -> Iterable[str]:
        """Voters that are silent for long, of whom each has a reachable voter that came after it fell silent."""
        for member in members:
            since = self._silent.get(member.id, now)
            later = [other for other in members if other.reachable and self._came.get(other.id, since) > since]
            if member.voter and now - since > self._dead and later:
                yield member.id


class Members:
    """`run()` for as long as the manager runs. `dead`: seconds of silence after which a manager may be replaced."""

    def __init__(
        self, store: Store, group: Group, dead: float = DEAD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._group = group
        self._dead = dead
        self._clock = clock

    async def run(self) -> None:
        while True:
            await self._store.leadership(True)
            watch = Watch(self._dead)
            while self._store.is_leader():
                await self._look(watch)
                await asyncio.sleep(PERIOD)

    async def _look(self, watch: Watch) -> None:
        members = self._group.members()
        watch.look(members, self._clock())
        try:
            await self._tell(members)
            await self._retire(watch.replaced(members, self._clock()))
            for id in surplus(self._store.view(), members):
                log.info("a manager leaves the group", member=id)
                await self._group.remove(id)
        except ShoalError as error:
            log.warning("the group of managers is not as wanted yet", reason=error.message)

    async def _tell(self, members: Sequence[Member]) -> None:
        changes = [*statuses(self._store.view(), members)]
        if changes:
            await self._commit(changes)

    async def _retire(self, ids: Iterable[str]) -> None:
        for id in ids:
            node = self._store.view().get(Node, id)
            if node is not None and node.spec.role == "manager":
                log.warning("a manager that died was replaced and is one no more", node=id)
                await self._commit([Put(replace(node, spec=replace(node.spec, role="worker")))])

    async def _commit(self, changes: list[Put]) -> None:
        with suppress(VersionConflict):  # looked at again in a moment
            await self._store.commit(changes, leading=True)


def surplus(view: View, members: Iterable[Member]) -> list[str]:
    """Members whose node is gone, or a manager no more; the leader itself comes last. None while the store has no nodes yet."""
    if not view.count(Node):
        return []
    found = [member for member in members if not _is_manager(view.get(Node, member.id))]
    return [member.id for member in sorted(found, key=lambda member: member.leader)]


def _is_manager(node: Node | None) -> bool:
    return node is not None and node.spec.role == "manager"


def statuses(view: View, members: Iterable[Member]) -> Iterable[Put]:
    """Nodes whose manager_status is not what the group says."""
    known: Mapping[str, Member] = {member.id: member for member in members}
    for node in view.all(Node):
        wanted = _status(known.get(node.id), node.manager_status)
        if node.manager_status != wanted:
            yield Put(replace(node, manager_status=wanted))


def _status(member: Member | None, before: ManagerStatus | None) -> ManagerStatus | None:
    """The group of a cluster that was just founded does not know its first member's address yet."""
    if member is None:
        return None
    reachability = "reachable" if member.reachable else "unreachable"
    addr = member.address or (before.addr if before else "")
    return ManagerStatus(leader=member.leader, reachability=reachability, addr=addr)
