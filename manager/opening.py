"""Which log lies under the store, and what comes with it: the group of managers, and the routes by which they talk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from common.identity import Identity
from common.identity.start import ManagerStart
from common.identity.tls import Tls, peer_of
from common.settings import Settings
from manager.members import Alone, Group
from manager.store.log import Log

if TYPE_CHECKING:
    from manager.raft.numbers import Numbers
    from manager.raft.peers.peers import Counts


async def _is_in() -> None:
    """For a manager that belongs to its group from the start."""


class Opened(NamedTuple):
    """`routes` are for the other managers; `enter` returns once this one belongs to the group. `numbers` and `counts` are for
    metrics."""

    log: Log
    group: Group
    routes: Sequence[web.RouteDef] = ()
    enter: Callable[[], Awaitable[None]] = _is_in
    numbers: Callable[[], Numbers] | None = None
    counts: Callable[[], Counts] | None = None


def open_log(settings: Settings, start: ManagerStart, tls: Tls | None) -> Opened:
    """The log that the settings name. Raises InvalidArgument where they name none."""
    if settings.store == "memory":
        from manager.store.memory_log import MemoryLog

        return Opened(MemoryLog(), Alone(start.identity.node_id))
    if settings.store == "raft":
        return _raft(Path(settings.root) / "raft", start, tls)
    from manager.etcd.opening import etcd_log

    log = etcd_log(settings, start.identity.node_id, start.identity.advertise)
    return Opened(log, log)


def log_keys(identity: Identity) -> Sequence[bytes]:
    """What this member's Raft log is sealed with; nothing while the node is a cluster of its own."""
    return [identity.keys.log] if identity.keys and identity.keys.log else []


def _raft(folder: Path, start: ManagerStart, tls: Tls | None) -> Opened:
    from manager.raft.log import RaftLog

    identity = start.identity
    keys = log_keys(identity)
    if tls is None:
        log = RaftLog(folder, identity.node_id, keys=keys)
        return Opened(log, log, numbers=log.numbers)
    from manager.raft.joining import become_member, route
    from manager.raft.peers import Peers
    from manager.raft.seeding import adopt

    adopt(folder, keys)  # of a cluster that was restored here
    peers = Peers(identity.node_id, identity.advertise, context=lambda: tls.client, identify=_sender)
    log = RaftLog(
        folder,
        identity.node_id,
        address=identity.advertise,
        joins=True,  # only a cluster of its own may begin from nothing: here an empty disk is one that was lost
        force_new=start.force_new,
        keys=keys,
        transport=peers,
    )
    return Opened(
        log,
        log,
        [*peers.routes(), route(log, _sender)],
        lambda: become_member(log, identity.advertise, lambda: identity.managers, lambda: tls.client),
        log.numbers,
        lambda: peers.counts,
    )


def _sender(request: web.Request) -> str | None:
    peer = peer_of(request)
    return peer.node_id if peer else None
