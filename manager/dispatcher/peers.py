"""Who has which addresses on a network, and at which host: what nodes need to reach one another's containers. Pure functions.

A peer's id is its network's with its owner's: a task's id, a node's, or, for a user's container, node and container.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from common.model import Cluster, Node, Task, TaskState
from common.wire import Peer
from manager.store.base import View

_GUEST = "@"  # between node and container


def network_of(id: str) -> str:
    return id.partition("/")[0]


def peer(view: View, id: str) -> Peer | None:
    """The peer by its id; None where there is none (any more), or where its node has no data path."""
    network_id, _, owner = id.partition("/")
    node_id = owner.partition(_GUEST)[0]
    if (task := view.get(Task, owner)) is not None:
        node_id = task.node_id
    found = _of_task(task) if task is not None else _of_node(view.get(Node, node_id))
    addresses = found.get(id)
    host = data_path(view.get(Node, node_id))
    if not addresses or not host:
        return None
    cluster = next(iter(view.all(Cluster)), None)
    port = (cluster or Cluster(id="")).data_path_port
    bare = [address.partition("/")[0] for address in addresses]
    return Peer(network_id=network_id, node_id=node_id, host=host, port=port, addresses=bare)


def data_path(node: Node | None) -> str:
    """What the node says, or where its session came from."""
    return node.description.data_path or node.status.addr if node is not None else ""


def on_network(view: View, network_id: str) -> Iterator[str]:
    """Ids of all peers on the network."""
    for task in view.find(Task, "network", network_id):
        yield from (id for id in _of_task(task) if network_of(id) == network_id)
    for node in view.find(Node, "network", network_id):
        yield from (id for id in _of_node(node) if network_of(id) == network_id)


def touched_by_task(before: Task | None, after: Task | None) -> Iterable[str]:
    """Ids of the peers that look different since `before` became `after`."""
    nodes = {task.node_id for task in (before, after) if task is not None}
    return _different(_of_task(before), _of_task(after), everything=len(nodes) > 1)


def touched_by_node(view: View, before: Node | None, after: Node | None) -> Iterable[str]:
    """The same for a node: with another data path, all that is on it."""
    moved = data_path(before) != data_path(after)
    node = after or before
    if moved and node is not None:
        for task in view.find(Task, "node", node.id):
            yield from _of_task(task)
    yield from _different(_of_node(before), _of_node(after), everything=moved)


def _different(
    before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]], *, everything: bool
) -> Iterator[str]:
    for id in dict.fromkeys((*before, *after)):
        if everything or before.get(id) != after.get(id):
            yield id


def _of_task(task: Task | None) -> dict[str, Sequence[str]]:
    """Its addresses by peer id, from its assignment until its end."""
    if task is None or not TaskState.ASSIGNED.order <= task.status.state.order <= TaskState.RUNNING.order:
        return {}
    return {f"{a.network_id}/{task.id}": a.addresses for a in task.networks_attachments if a.addresses}


def _of_node(node: Node | None) -> dict[str, Sequence[str]]:
    if node is None:
        return {}
    own: dict[str, Sequence[str]] = {f"{a.network_id}/{node.id}": a.addresses for a in node.attachments}
    return own | {f"{g.network_id}/{node.id}{_GUEST}{g.container_id}": g.addresses for g in node.guests}
