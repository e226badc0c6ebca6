"""The cluster of one: what a first start, and a cluster left by its user, begin with. Nothing has to be configured.

It has no CA and no join tokens yet: those come with `swarm init` (manager/ca/authority.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import Conflict
from common.ids import object_id
from common.model import Cluster, Network, NetworkSpec, Node, NodeSpec, NodeStatus
from common.model.node import ManagerStatus
from manager.store.base import Change, Put, View

PREDEFINED = {"com.docker.swarm.predefined": "true"}


def seed(view: View, node_id: str, pools: Sequence[str]) -> list[Change]:
    """What is missing in `view`: the cluster with its address pools, this node as its manager, the networks that always exist.
    Raises Conflict where the view is another cluster's."""
    check_ours(view, node_id)
    changes: list[Change] = []
    if not view.count(Cluster):
        cluster = Cluster(id=object_id(), implicit=True, default_addr_pool=[*pools])
        changes += [Put(cluster), Put(ingress_network())]
    if view.get(Node, node_id) is None:
        changes.append(Put(manager_node(node_id)))
    for name in ("bridge", "host"):
        if not view.find(Network, "name", name):
            spec = NetworkSpec(name=name, driver=name, scope="swarm", labels=PREDEFINED)
            changes.append(Put(Network(id=object_id(), spec=spec)))
    return changes


def check_ours(view: View, node_id: str) -> None:
    """Raises Conflict where the store holds a cluster of which this node is no part: somebody's who uses the same etcd."""
    if view.count(Cluster) and view.get(Node, node_id) is None:
        raise Conflict(
            "the store holds another cluster, of which this node is no part: choose another --store-prefix, "
            "or join that cluster by `shoal swarm join`"
        )


def manager_node(node_id: str) -> Node:
    return Node(
        id=node_id,
        spec=NodeSpec(role="manager"),
        manages=True,
        status=NodeStatus(state="unknown"),
        manager_status=ManagerStatus(leader=True, reachability="reachable"),
    )


def ingress_network() -> Network:
    return Network(id=object_id(), spec=NetworkSpec(name="ingress", driver="overlay", scope="swarm", ingress=True))


def predefined(network: Network) -> bool:
    """A node's own network that services may name; it is not listed among the cluster's."""
    return network.spec.driver != "overlay"
