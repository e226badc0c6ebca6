"""What a backup becomes on the node that restores it: the same cluster with this node as its only manager.

The managers of before are managers no more, but stay nodes: one that comes back is a worker, and its tasks go on. Nothing of a
later past may be taken for this one's: versions go on far above all that the cluster may have reached after the backup.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from common.backup import Content
from common.errors import InvalidArgument
from common.model import Cluster, Node
from common.model.node import ManagerStatus
from manager.bootstrap import manager_node
from manager.ca import removal
from manager.ca.authority import founded
from manager.store.base import Change, Put, View
from manager.store.codec import encode_transaction
from manager.store.store import StateMachine, StateStore
from manager.store.view import LiveView
from manager.vault import Vault

BEYOND = 1_000_000_000  # entries


class Restored(msgspec.Struct, frozen=True):
    """`state` is the first snapshot of the new log, at entry `index`."""

    cluster: Cluster
    index: int
    state: bytes


async def capture(store: StateStore, cluster_key: bytes) -> tuple[Cluster, Content]:
    """All that was committed before the call, at one revision. Raises Unavailable."""
    await store.barrier()
    revision, encode = store.capture()
    cluster = _cluster(store.view())
    state = await asyncio.to_thread(encode)
    return cluster, Content(cluster_key=cluster_key, revision=revision, state=state)


def restored(content: Content, node_id: str, address: str) -> Restored:
    """The state in which node `node_id`, which listens at `address`, goes on alone. Raises InvalidArgument. Takes long."""
    machine = StateMachine()
    try:
        machine.restore(content.revision, content.state)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"the backup holds no state that this version can read: {error}") from None
    now = datetime.now(UTC)
    view, index = LiveView(machine.tables, now), content.revision + BEYOND
    changes = [*_changes(view, Vault(content.cluster_key), node_id, address)]
    if refused := machine.apply(index, encode_transaction(changes, now, machine.foreign)):
        raise refused
    return Restored(_cluster(view), index, machine.legacy()())


def _changes(view: View, vault: Vault, node_id: str, address: str) -> Iterable[Change]:
    cluster = _cluster(view)
    if cluster.root_ca is None:  # of a node that was a cluster of its own
        yield Put(replace(founded(cluster, vault), implicit=False))
    for node in view.all(Node):
        if node.id != node_id and removal.role(node) == "manager":
            spec = replace(node.spec, role="worker")
            yield Put(replace(node, spec=spec, manager_status=None, manages=False, demoted_at=view.now))
    own = view.get(Node, node_id) or manager_node(node_id)
    status = ManagerStatus(leader=True, reachability="reachable", addr=address)
    yield Put(replace(own, spec=replace(own.spec, role="manager"), manages=True, manager_status=status))


def _cluster(view: View) -> Cluster:
    """Raises InvalidArgument where there is none."""
    cluster = next(iter(view.all(Cluster)), None)
    if cluster is None:
        raise InvalidArgument("the state holds no cluster")
    return cluster
