"""Which role a node has with the managers, and nodes that were removed: their certificates are good for nothing at once.

A node is known by its Node object. Only a manager that is behind cannot tell a node that it has not heard of yet from one
that was removed: for it the Cluster object remembers those, as long as their certificates would be good.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from common.model import SECOND, Cluster, Node
from common.model.node import CAConfig
from manager.store.base import Change, Delete, Put, View


def role(node: Node) -> str:
    """What the node's certificate should say: manager as long as it is wanted as one, or still in the managers' group."""
    return "manager" if node.spec.role == "manager" or node.manager_status is not None else "worker"


def removed(view: View, *nodes: Node) -> list[Change]:
    """What removes the nodes from the cluster, with all that they may do."""
    cluster = next(iter(view.all(Cluster)), None)
    for node in nodes:
        cluster = cluster and _without(cluster, node.id, view.now)
    return [*map(Delete, nodes), *([Put(cluster)] if cluster else [])]


def _without(cluster: Cluster, node_id: str, now: datetime) -> Cluster:
    seconds = (cluster.spec.ca_config.node_cert_expiry or CAConfig().node_cert_expiry) // SECOND
    kept = {id: end for id, end in cluster.removed_nodes.items() if end > now}
    return replace(cluster, removed_nodes={**kept, node_id: now + timedelta(seconds=seconds)})
